'use strict';

// A workspace per session: an object whose class has the variables as slots. The class is its own
// one and in no dictionary, so that nobody else can name it, and it is no part of the changes.

/** A session's variables, and the class that its code is compiled for. */
class Workspace {
  #core;
  #names = [];

  /** @param {object} amber */
  constructor(amber) {
    this.#core = amber.core;
    this.class = hiddenClass(amber);
    this.object = this.class._new();
  }

  /**
   * Declares variables that it does not have yet.
   * @param {Array<[string, *]>} entries names, which `isVariableName`, and values
   */
  declare(entries) {
    for (const [name, value] of entries) this.#declare(name, value);
    this.#core.setSlots(this.class, this.names);
  }

  /**
   * The variables, in the order in which they appeared.
   * @returns {string[]}
   */
  get names() {
    return [...this.#names];
  }

  /**
   * Compiles code for this workspace. The variables that it assigns for the first time are
   * declared, and nil, once it has compiled.
   * @param {import('./source').Code} code
   * @param {function(string, object): object} compile the method of a source for a class
   * @returns {object} the method
   */
  compile(code, compile) {
    const undeclared = [...code.assigned].filter(
      (name) => !this.#names.includes(name) && isVariableName(name),
    );
    // Amber takes no temporary or argument with the name of a slot: the code sees those slots only
    // that it uses as such.
    const visible = this.#names.filter((name) => code.used.has(name));
    this.#core.setSlots(this.class, [...visible, ...undeclared]);
    try {
      const method = compile(code.method, this.class);
      for (const name of undeclared) this.#declare(name);
      return method;
    } finally {
      this.#core.setSlots(this.class, this.names);
    }
  }

  #declare(name, value = null) {
    this.#names.push(name);
    this.object[name] = value;
  }
}

const PSEUDO_VARIABLES = new Set(['self', 'super', 'nil', 'true', 'false', 'thisContext']);

/**
 * Whether a variable can have this name. A capital is a class or another global.
 * @param {string} name
 * @returns {boolean}
 */
function isVariableName(name) {
  return /^[a-z][a-zA-Z0-9]*$/.test(name) && !PSEUDO_VARIABLES.has(name);
}

function hiddenClass(amber) {
  const { core, globals } = amber;
  const made = core.addClass('new*Workspace', globals.DoIt, globals.DoIt.category);
  core.removeClass(made);
  made.name = 'Workspace';
  return made;
}

class Workspaces {
  #amber;
  #open = new Map();

  /** @param {object} amber */
  constructor(amber) {
    this.#amber = amber;
  }

  /**
   * A session's workspace, made where there is none.
   * @param {string} session
   * @returns {Workspace}
   */
  of(session) {
    if (!this.has(session)) this.#open.set(session, new Workspace(this.#amber));
    return this.#open.get(session);
  }

  /**
   * Whether the session has one.
   * @param {string} session
   * @returns {boolean}
   */
  has(session) {
    return this.#open.has(session);
  }

  /**
   * Gives a session another workspace in place of the one that it may have.
   * @param {string} session
   * @param {Workspace} workspace
   */
  replace(session, workspace) {
    this.#open.set(session, workspace);
  }

  /**
   * Drops a session's workspace.
   * @param {string} session
   * @returns {boolean} there was one
   */
  close(session) {
    return this.#open.delete(session);
  }
}

module.exports = { Workspace, Workspaces, isVariableName };
