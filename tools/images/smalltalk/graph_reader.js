'use strict';

// Objects out of a checked document: first every node's object, empty, then what is in them. Sends
// no messages to them, and changes nothing in the image.

const { article } = require('./amber');
const { Lost, simpleValue } = require('./graph_values');
const { DIALECT } = require('./packing');

/** Kind → families of the classes that a hint may name. */
const FAMILIES_OF = {
  array: ['array'],
  list: ['array'],
  set: ['set'],
  dictionary: ['dictionary', 'hashed'],
};

/** How many numbers all intervals together may become. */
const MAX_NUMBERS = 1_000_000;

class GraphReader {
  #amber;
  #shapes;
  #sets;
  #workspace;
  #document;
  #troubles;
  #around;
  #made = [];

  /**
   * @param {object} parts `amber`, `shapes`, `sets`, `workspace` (that the document's own becomes),
   *   `document` (checked) and `troubles` (is told what is not as it was)
   */
  constructor({ amber, shapes, sets, workspace, document, troubles }) {
    this.#amber = amber;
    this.#shapes = shapes;
    this.#sets = sets;
    this.#workspace = workspace;
    this.#document = document;
    this.#troubles = troubles;
    this.#around = { nodeAt: (index) => document.nodes[index], room: MAX_NUMBERS };
  }

  /** Makes all the objects. */
  read() {
    const { nodes } = this.#document;
    for (let i = 0; i < nodes.length; i += 1) {
      const made = this.#make(nodes[i], i);
      if (made instanceof Lost) this.#troubles.loss(i, made.text);
      this.#made.push(made);
    }
    for (let i = 0; i < nodes.length; i += 1) {
      if (!(this.#made[i] instanceof Lost)) this.#fill(this.#made[i], nodes[i], i);
    }
    this.#troubles.settle(nodes.length);
  }

  /**
   * What a value of the document has become.
   * @param {*} value
   * @returns {*|Lost}
   */
  valueOf(value) {
    return Array.isArray(value) ? this.#made[value[0]] : value;
  }

  /**
   * What there is to tell of a value.
   * @param {*} value
   * @returns {{whole: boolean, reason: string|undefined}}
   */
  fateOf(value) {
    return this.#troubles.at(Array.isArray(value) ? value[0] : null);
  }

  // The first round. What consists of nothing but its node is made whole.

  #make(node, index) {
    const [kind, ...fields] = node;
    const { globals } = this.#amber;
    switch (kind) {
      case 'array':
      case 'list':
        return this.#hinted(index, kind) ?? [];
      case 'set': {
        const set = this.#hinted(index, kind) ?? new globals.Set.fn();
        this.#sets.initialize(set);
        return set;
      }
      case 'dictionary':
        return this.#emptyDictionary(index);
      case 'association':
        return new globals.Association.fn();
      case 'point':
        return new globals.Point.fn();
      case 'exception':
        return this.#exception(index, fields);
      case 'instance':
        return this.#instance(index, fields);
      case 'class':
      case 'amber:metaclass':
        return this.#class(fields[0], kind !== 'class');
      case 'amber:method':
        return this.#method(fields);
      case 'amber:image':
        return globals.Smalltalk;
      case 'amber:workspace':
        return this.#workspace.object;
      case 'lost':
        return new Lost(...fields);
      default: {
        const { value, remark } = simpleValue(node, this.#around);
        if (remark !== undefined) this.#troubles.remark(index, remark);
        return value;
      }
    }
  }

  // A new object of the class that a hint names; undefined where there is none that fits.
  #hinted(index, kind) {
    const hint = this.#document.hints.get(index);
    if (hint === undefined) return undefined;
    const shape = this.#shapeNamed(hint[0]);
    const fits = FAMILIES_OF[kind].includes(shape?.family);
    if (fits && this.#hasTextKeys(shape, index)) return new shape.behavior.fn();
    const has = shape === null ? 'the image has no class' : 'there is another class';
    const what = `${article(hint[0])}: ${has} ${hint[0]} now, it became a plain ${kind}`;
    this.#troubles.loss(index, what);
    return undefined;
  }

  #hasTextKeys({ family }, index) {
    const [, pairs] = this.#document.nodes[index];
    return family !== 'hashed' || pairs.every(([key]) => typeof key === 'string');
  }

  #emptyDictionary(index) {
    const made = this.#hinted(index, 'dictionary') ?? new this.#amber.globals.Dictionary.fn();
    if (this.#family(made) === 'dictionary') [made.keys, made.values] = [[], []];
    return made;
  }

  #family(object) {
    return this.#shapes.of(object.a$cls).family;
  }

  #shapeNamed(name) {
    const behavior = this.#amber.classNamed(name);
    return behavior === undefined ? null : this.#shapes.of(behavior);
  }

  #instance(index, [name]) {
    const shape = this.#shapeNamed(name);
    if (shape === null) return lost(name, `the image has no class ${name}`);
    const isPlain = ['plain', 'boxed', 'date', 'regexp'].includes(shape.family);
    // The roots of these families are JavaScript's own, and no objects with slots.
    if (isPlain && shape.behavior !== shape.root) return new shape.behavior.fn();
    return lost(name, `the class ${name} is another one now`);
  }

  #exception(index, [name]) {
    const shape = this.#shapeNamed(name);
    if (shape?.family === 'exception') return new shape.behavior.fn();
    const reason = shape === null ? `the image has no class ${name}` : `${name} is no exception`;
    if (this.#document.dialect === DIALECT) return lost(name, reason);
    this.#troubles.remark(index, `${article(name)}: ${reason}, it became an Error`);
    return new this.#amber.globals.Error.fn();
  }

  #class(name, isMeta) {
    const found = this.#amber.classNamed(name);
    if (found === undefined || (isMeta && found.trait)) {
      return new Lost('Class', name, 'the image has no such class');
    }
    return isMeta ? found.a$cls : found;
  }

  #method([name, isClassSide, selector]) {
    const behavior = this.#class(name, isClassSide);
    const methods = behavior instanceof Lost ? {} : behavior.methods;
    // Not `hasOwn`: the method may be inherited, or a trait's.
    const method = selector in methods ? methods[selector] : undefined;
    const shown = `${name}${isClassSide ? ' class' : ''} >> ${selector}`;
    return method ?? new Lost('CompiledMethod', shown, 'the image has no such method');
  }

  // The second round.

  #fill(made, [kind, ...fields], index) {
    const { globals } = this.#amber;
    switch (kind) {
      case 'array':
      case 'list':
        this.#fillArray(made, fields[0], index);
        this.#fillHinted(made, index);
        break;
      case 'set':
        for (const each of fields[0]) this.#sets.add(made, this.#part(each, index));
        this.#fillHinted(made, index);
        break;
      case 'dictionary':
        this.#fillDictionary(made, fields[0], index);
        this.#fillHinted(made, index);
        break;
      case 'association':
        [made.key, made.value] = fields.map((each) => this.#part(each, index));
        break;
      case 'point':
        [made.x, made.y] = fields.map((each) => this.#part(each, index));
        break;
      case 'exception':
        this.#fillSlots(made, { message: fields[1], stack: null, ...fields[2] }, index);
        break;
      case 'instance':
        this.#fillSlots(made, fields[1], index);
        break;
      default: // it is whole already
    }
  }

  // What a value becomes inside of a node: nil where it is lost.
  #part(value, index) {
    if (!Array.isArray(value)) return value;
    this.#troubles.edge(index, value[0]);
    const made = this.#made[value[0]];
    return made instanceof Lost ? null : made;
  }

  #fillArray(made, values, index) {
    // An instance of a subclass is no JavaScript array, and has no length of its own yet.
    made.length = values.length;
    for (let i = 0; i < values.length; i += 1) made[i] = this.#part(values[i], index);
  }

  #fillDictionary(made, pairs, index) {
    const nil = this.#amber.globals.UndefinedObject.soleInstance;
    const isHashed = this.#family(made) === 'hashed';
    for (const [key, value] of pairs) {
      const element = this.#part(value, index);
      if (isHashed) {
        const property = { value: element, enumerable: true, configurable: true, writable: true };
        Object.defineProperty(made, key, property);
      } else {
        // Amber asks keys for equality without looking whether they are JavaScript's null.
        made.keys.push(this.#part(key, index) ?? nil);
        made.values.push(element);
      }
    }
  }

  #fillHinted(made, index) {
    const hint = this.#document.hints.get(index);
    if (hint !== undefined) this.#fillSlots(made, hint[1], index);
  }

  // The slots that the class has now; it is told which it has no more, and which are new.
  #fillSlots(made, given, index) {
    const { name, slots, family } = this.#shapes.of(made.a$cls);
    for (const slot of slots) {
      if (Object.hasOwn(given, slot)) made[slot] = this.#part(given[slot], index);
      else if (made[slot] === undefined) made[slot] = null;
    }
    const gone = Object.keys(given).filter((slot) => !slots.includes(slot) && given[slot] !== null);
    if (gone.length > 0) {
      const names = gone.slice(0, 10).join(', ');
      this.#troubles.loss(index, `${article(name)}: the class has no slot ${names} any more`);
    }
    const fresh = slots.filter((slot) => !Object.hasOwn(given, slot));
    if (fresh.length > 0 && family !== 'exception') {
      const names = fresh.slice(0, 10).join(', ');
      this.#troubles.remark(index, `${article(name)}: its slot ${names} is new, and nil`);
    }
  }
}

function lost(name, reason) {
  return new Lost(name, article(name), reason);
}

module.exports = { GraphReader };
