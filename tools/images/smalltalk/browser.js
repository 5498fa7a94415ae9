'use strict';

// Classes and methods as a browser shows them. Reads Amber's structures and sends no messages, so
// that nothing that user code has overridden can get in its way.

const { cut } = require('./bounds');
const { Failure, shortened } = require('./failures');

/** Characters of all that is listed (in JSON one takes up to six bytes), and around each. */
const LISTED_CHARACTERS = 2_000_000;
const OVERHEAD = 100;

class Browser {
  #amber;

  /** @param {object} amber */
  constructor(amber) {
    this.#amber = amber;
  }

  /**
   * The command `list_classes`; traits are listed with the classes, and so are
   * aliases.
   * @param {{pattern: string, include_system: boolean, limit: number|undefined}} parameters
   * @returns {{classes: object[], total_count: number}} sorted by name
   */
  listClasses({ pattern, include_system: includeSystem, limit }) {
    const found = this.#amber
      .classNames()
      .map((name) => this.#info(name))
      .filter((info) => matches(pattern, info.name) && (includeSystem || !info.is_system))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
    return { classes: fitting(found.slice(0, limit)), total_count: found.length };
  }

  /**
   * The command `browse_class`. Amber's classes have no class variables; those of the class side
   * stand for them.
   * @param {object} parameters checked
   * @returns {object}
   * @throws {Failure} class_not_found
   */
  browseClass({
    class_name: name,
    include_methods: includeMethods,
    include_instance_vars: includeInstanceVars,
    include_class_vars: includeClassVars,
  }) {
    const found = this.#class(name);
    return {
      class_info: this.#info(name),
      instance_methods: includeMethods ? records(found, false) : [],
      class_methods: includeMethods && !found.trait ? records(found.a$cls, true) : [],
      instance_vars: includeInstanceVars ? (found.slots ?? []).map((slot) => cut(slot)) : null,
      class_vars: includeClassVars
        ? ((!found.trait && found.a$cls.slots) || []).map((slot) => cut(slot))
        : null,
    };
  }

  /**
   * The command `get_method`.
   * @param {object} parameters checked
   * @returns {{method: object}}
   * @throws {Failure} class_not_found or method_not_found
   */
  getMethod({ class_name: name, method_name: selector, is_class_method: isClassMethod }) {
    const found = this.#class(name);
    const methods = isClassMethod ? (found.trait ? {} : found.a$cls.methods) : found.methods;
    if (Object.hasOwn(methods, selector)) {
      return { method: record(methods[selector], isClassMethod) };
    }
    const owner = isClassMethod ? `${name} class` : name;
    const message = `${owner} has no method ${shortened(selector)} of its own.`;
    throw new Failure('method_not_found', message);
  }

  #class(name) {
    const found = this.#amber.classNamed(name);
    if (found !== undefined) return found;
    throw new Failure('class_not_found', `There is no class ${shortened(name)}.`);
  }

  #info(name) {
    const found = this.#amber.classNamed(name);
    return {
      name: cut(name),
      superclass: cut(found.superclass?.name ?? ''),
      comment: found.comment ?? '',
      package: cut(found.category ?? ''),
      is_system: this.#amber.systemNames.has(name),
    };
  }
}

// The beginnings of the comments, and as many classes as one reply takes: one session's many
// classes must not keep the others from listing any.
function fitting(infos) {
  const listed = [];
  let room = LISTED_CHARACTERS;
  for (const info of infos) {
    const short = { ...info, comment: cut(info.comment) };
    room -= OVERHEAD + [short.name, short.superclass, short.comment, short.package].join('').length;
    if (room < 0) break;
    listed.push(short);
  }
  return listed;
}

function records(behavior, isClassMethod) {
  const selectors = Object.keys(behavior.methods).sort();
  return selectors.map((selector) => record(behavior.methods[selector], isClassMethod));
}

function record(method, isClassMethod) {
  const source = method.source ?? '';
  return {
    name: cut(method.selector),
    source,
    category: cut(method.protocol ?? ''),
    is_class_method: isClassMethod,
    arguments: (method.args ?? []).map((argument) => cut(argument)),
    comment: firstComment(source),
  };
}

// The first comment outside of strings and characters.
function firstComment(source) {
  const token = /\$[^]|'(?:[^']|'')*'|"([^"]*)"/g;
  for (const match of source.matchAll(token)) if (match[1] !== undefined) return match[1];
  return '';
}

// Glob with * and ?, in time that is linear in each star: on a mismatch only the last one grows.
function matches(pattern, name) {
  let [at, position, star, resume] = [0, 0, -1, 0];
  while (position < name.length) {
    if (pattern[at] === '*') {
      [star, resume] = [at, position];
      at += 1;
    } else if (pattern[at] === '?' || pattern[at] === name[position]) {
      at += 1;
      position += 1;
    } else if (star >= 0) {
      resume += 1;
      [at, position] = [star + 1, resume];
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}

module.exports = { Browser };
