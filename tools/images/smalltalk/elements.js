'use strict';

// What an object consists of: its named slots, and its elements where it is a collection.

/** How a collection keeps its elements is not shown: the slots of these classes. */
const CONTAINERS = ['Dictionary', 'Set'];

class Elements {
  #globals;
  #amber;
  #hidden;
  #setDo;

  /**
   * Made before user code can have changed Amber's collections.
   * @param {object} amber
   */
  constructor(amber) {
    this.#amber = amber;
    this.#globals = amber.globals;
    this.#hidden = new Set(CONTAINERS.map((name) => amber.globals[name]));
    this.#setDo = amber.globals.Set.fn.prototype._do_;
  }

  /**
   * An object's named slots, those of the topmost class first. May run user code (accessors of
   * foreign JavaScript objects).
   * @param {*} value
   * @returns {Array<[string, *]>}
   */
  slots(value) {
    if (typeof value !== 'object' && typeof value !== 'function') return [];
    if (value === null) return [];
    const foreign = this.#foreign(value);
    if (foreign !== null) return Object.keys(foreign).map((name) => [name, foreign[name]]);
    const names = [];
    for (let each = this.#amber.classOf(value); each; each = each.superclass) {
      if (!this.#hidden.has(each)) names.unshift(...each.slots);
    }
    return names.map((name) => [name, value[name]]);
  }

  /**
   * How many elements a collection or string has; 0 for anything else.
   * @param {*} value
   * @returns {number}
   */
  size(value) {
    if (typeof value === 'string' || Array.isArray(value)) return value.length;
    if (this.#is(value, 'Array') || this.#is(value, 'String')) return value.length ?? 0;
    if (this.#is(value, 'Dictionary')) return value.keys.length;
    if (this.#is(value, 'HashedCollection')) return Object.keys(value).length;
    return this.#is(value, 'Set') ? value.size : 0;
  }

  /**
   * The first elements of a collection or string, each with its index (a number) or its key. Runs
   * no user code.
   * @param {*} value
   * @param {number} limit
   * @returns {Array<{index: number, element: *}|{key: *, element: *}>}
   */
  elements(value, limit) {
    const size = Math.min(this.size(value), limit);
    const indices = Array.from({ length: size }, (_, index) => index);
    if (this.#is(value, 'Dictionary')) {
      return indices.map((i) => ({ key: value.keys[i], element: value.values[i] }));
    }
    if (this.#is(value, 'HashedCollection')) {
      const keys = Object.keys(value);
      return indices.map((i) => ({ key: keys[i], element: value[keys[i]] }));
    }
    const sequence = this.#is(value, 'Set') ? this.#inSet(value) : value;
    return indices.map((i) => ({ index: i + 1, element: sequence[i] }));
  }

  #inSet(value) {
    const found = [];
    this.#setDo.call(value, (each) => void found.push(each));
    return found;
  }

  #foreign(value) {
    if (value.a$cls === undefined) return value;
    return value.a$cls === this.#globals.JSObjectProxy ? value.jsObject : null;
  }

  #is(value, className) {
    if (value === null || value === undefined) return false;
    for (let each = value.a$cls; each; each = each.superclass) {
      if (each === this.#globals[className]) return true;
    }
    return false;
  }
}

module.exports = { Elements };
