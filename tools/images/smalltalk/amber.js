'use strict';

// Amber Smalltalk in this thread, and what the other files need to know of its objects.

const path = require('path');

const { cut } = require('./bounds');

/** Amber's globals (classes by name), its kernel functions and the names of its own classes. */
class Amber {
  /**
   * @param {object} globals
   * @param {object} core the kernel's functions
   */
  constructor(globals, core) {
    this.globals = globals;
    this.core = core;
    this.systemNames = new Set(this.classNames());
  }

  /**
   * All classes and traits.
   * @returns {object[]}
   */
  classes() {
    return this.core.traitsOrClasses;
  }

  /**
   * All names of classes and traits; some have an alias (OrderedCollection is Array).
   * @returns {string[]}
   */
  classNames() {
    return Object.keys(this.globals).filter((name) => this.classNamed(name) !== undefined);
  }

  /**
   * The class or trait that a global names (aliases too), or undefined.
   * @param {string} name
   * @returns {object|undefined}
   */
  classNamed(name) {
    const found = Object.hasOwn(this.globals, name) ? this.globals[name] : undefined;
    return this.#isClass(found) ? found : undefined;
  }

  #isClass(value) {
    return value instanceof this.globals.Class.fn || value instanceof this.globals.Trait.fn;
  }

  /**
   * A value as something that takes messages: nil and foreign JavaScript values are wrapped.
   * @param {*} value
   * @returns {object}
   */
  receiver(value) {
    if (value === null || value === undefined) return this.globals.UndefinedObject.soleInstance;
    return value.a$cls ? value : this.core.wrapJavaScript(value);
  }

  /**
   * A value's class, whatever its own `class` method says.
   * @param {*} value
   * @returns {object}
   */
  classOf(value) {
    const { Behavior, JSObjectProxy, UndefinedObject } = this.globals;
    if (value === null || value === undefined) return UndefinedObject;
    return value.a$cls instanceof Behavior.fn ? value.a$cls : JSObjectProxy;
  }

  /**
   * The name of a value's class.
   * @param {*} value
   * @returns {string}
   */
  classNameOf(value) {
    return nameOf(this.classOf(value));
  }
}

/**
 * The name of a class, metaclass or trait, cut where it is longer than any that was meant as one.
 * @param {object} behavior
 * @returns {string}
 */
function nameOf(behavior) {
  return behavior.meta ? `${cut(behavior.instanceClass.name)} class` : cut(behavior.name);
}

/**
 * `an Object`, as Smalltalk shows what has nothing better to show.
 * @param {string} className
 * @returns {string} up to 200 characters
 */
function article(className) {
  return `${/^[AEIOU]/.test(className) ? 'an' : 'a'} ${className}`.slice(0, 200);
}

/**
 * Loads and starts Amber. Once per thread.
 * @param {string} nodeModules where its packages are
 * @returns {Promise<Amber>}
 */
async function boot(nodeModules) {
  const requirejs = require(path.join(nodeModules, 'requirejs'));
  const amberDirectory = path.join(nodeModules, '@ambers', 'lang');
  const load = requirejs.config({
    context: 'amber',
    nodeRequire: require,
    paths: {
      amber: path.join(amberDirectory, 'base'),
      'amber/core': path.join(amberDirectory, 'src'),
    },
    map: { '*': { amber_core: 'amber/core' } },
  });
  const lang = await new Promise((resolve, reject) =>
    load(['amber/lang', 'amber/core/Platform-Node'], resolve, reject),
  );
  await lang.initialize();
  lang.globals.UndefinedObject.soleInstance ??= lang.$nil;
  // Amber's platform ends the process on an error in a background task.
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
  return new Amber(lang.globals, lang.api);
}

module.exports = { article, boot, nameOf };
