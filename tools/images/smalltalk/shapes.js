'use strict';

// How the instances of a class are kept in a snapshot: which family they belong to, and which of
// their slots count.

/** Class → family of its instances and of those of its subclasses. */
const FAMILIES = {
  Array: 'array',
  Behavior: 'class',
  BlockClosure: 'lost',
  Boolean: 'boxed',
  CompiledMethod: 'method',
  Date: 'date',
  Dictionary: 'dictionary',
  Error: 'exception',
  HashedCollection: 'hashed',
  JSObjectProxy: 'lost',
  MethodContext: 'lost',
  NativeFunction: 'lost',
  Number: 'boxed',
  Organizer: 'lost',
  Package: 'lost',
  Promise: 'lost',
  RegularExpression: 'regexp',
  Set: 'set',
  SmalltalkImage: 'image',
  String: 'boxed',
  Timeout: 'lost',
  Trait: 'class',
  UndefinedObject: 'lost',
};
/** How these keep their elements is no part of the snapshot. */
const CONTAINERS = ['Dictionary', 'Set'];

/** What has no class in Amber. */
const FOREIGN = {
  behavior: null,
  family: 'foreign',
  root: null,
  name: 'JSObjectProxy',
  slots: [],
  isCurrent: false,
};

class Shapes {
  #amber;
  #families;
  #containers;
  #known = new Map();

  /**
   * For one snapshot or restore: what it tells is not looked up again.
   * @param {object} amber
   */
  constructor(amber) {
    this.#amber = amber;
    const { globals } = amber;
    this.#families = new Map(
      Object.entries(FAMILIES).map(([name, family]) => [globals[name], family]),
    );
    this.#containers = new Set(CONTAINERS.map((name) => globals[name]));
  }

  /**
   * The shape of a class's instances.
   * @param {*} behavior what an object names as its class
   * @returns {{behavior: object|null, family: string, root: object|null, name: string,
   *   slots: string[], isCurrent: boolean}}
   *   family: `plain` (slots only), `foreign` (JavaScript's) or one of the above; root: the class
   *   that has the family; isCurrent: the image has this class under this name
   */
  of(behavior) {
    if (!this.#known.has(behavior)) this.#known.set(behavior, this.#look(behavior));
    return this.#known.get(behavior);
  }

  #look(behavior) {
    if (!(behavior instanceof this.#amber.globals.Behavior.fn)) return FOREIGN;
    const slots = [];
    let [family, root] = ['plain', null];
    for (let each = behavior; each; each = each.superclass) {
      if (root === null && this.#families.has(each)) {
        [family, root] = [this.#families.get(each), each];
      }
      if (!this.#containers.has(each)) slots.unshift(...each.slots);
    }
    // Where a class got another superclass, Amber made a new one and calls the old one so.
    const name = String(behavior.name).replace(/^new\*/, '');
    const isCurrent = this.#amber.classNamed(name) === behavior;
    return { behavior, family, root, name, slots, isCurrent };
  }
}

module.exports = { Shapes };
