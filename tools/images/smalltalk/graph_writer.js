'use strict';

// A workspace as a `stui-graph-1` text (docs/image-protocol.md). Goes through the objects one after
// another, so that no depth is too deep, and sends no messages to them.

const { types } = require('util');

const { article } = require('./amber');
const { Failure } = require('./failures');
const { GraphText } = require('./graph_text');
const { dateNode, needsNode, numberNode } = require('./graph_values');
const { DIALECT } = require('./packing');

const REASONS = {
  BlockClosure: 'a block cannot be kept',
  JSObjectProxy: 'an object of JavaScript cannot be kept',
  MethodContext: 'a context belongs to an evaluation that runs',
  NativeFunction: 'a function cannot be kept',
};

class GraphWriter {
  #amber;
  #shapes;
  #sets;
  #workspace;
  #troubles;
  #text;
  #objects = [];
  #indices = new Map();
  #index = 0;
  #hints = [];

  /**
   * @param {object} parts `amber`, `shapes`, `sets`, `workspace` (whose object is known as such),
   *   `troubles` (is told what cannot be kept), `patience` and `mostBytes` (of the packed data)
   */
  constructor({ amber, shapes, sets, workspace, troubles, patience, mostBytes }) {
    this.#amber = amber;
    this.#shapes = shapes;
    this.#sets = sets;
    this.#workspace = workspace;
    this.#troubles = troubles;
    this.#text = new GraphText(patience, mostBytes);
  }

  /**
   * Writes everything.
   * @param {Array<[string, *]>} variables
   * @param {Array<[string, *]>} objects by id
   * @returns {{text: Uint8Array, digest: string, count: number}} of nodes
   * @throws {Failure} snapshot_too_large or snapshot_given_up
   */
  write(variables, objects) {
    const text = this.#text;
    text.append(`{"dialect":"${DIALECT}","variables":{`);
    text.append(this.#roots(variables));
    text.append('},"objects":{');
    text.append(this.#roots(objects));
    text.append('},"nodes":[');
    for (this.#index = 0; this.#index < this.#objects.length; this.#index += 1) {
      text.append((this.#index > 0 ? ',\n' : '\n') + this.#node(this.#objects[this.#index]));
    }
    text.append(`],\n"${DIALECT}":{${this.#hints.join(',')}}}`);
    return { ...text.finish(), count: this.#objects.length };
  }

  /**
   * The index of the node that a value has become; null where it needs none.
   * @param {*} value
   * @returns {number|null}
   */
  indexOf(value) {
    return this.#indices.get(value) ?? null;
  }

  #roots(entries) {
    return entries.map(([name, value]) => `${JSON.stringify(name)}:${this.#value(value)}`).join();
  }

  // Values. What needs a node gets the next index, and is written when its turn comes.

  #value(value) {
    if (value === null || value === undefined) return 'null';
    switch (typeof value) {
      case 'boolean':
        return String(value);
      case 'string':
        this.#text.checkSize(value.length);
        return JSON.stringify(value);
      case 'number':
        return needsNode(value) ? this.#reference(value) : String(value);
      default:
        if (value.a$nil) return 'null';
        // Amber's primitives get wrapped here and there, and mean the same.
        return types.isBoxedPrimitive(value) && this.#isBoxed(value)
          ? this.#value(unboxed(value))
          : this.#reference(value);
    }
  }

  #isBoxed(value) {
    const { family, root } = this.#shapes.of(value.a$cls);
    return family === 'boxed' && root === value.a$cls;
  }

  #reference(value) {
    let index = this.#indices.get(value);
    if (index === undefined) {
      index = this.#objects.length;
      this.#indices.set(value, index);
      this.#objects.push(value);
    }
    return `[${index}]`;
  }

  // A value inside of the present node.
  #part(value) {
    const text = this.#value(value);
    // Only a reference begins so.
    if (text[0] === '[') this.#troubles.edge(this.#index, Number(text.slice(1, -1)));
    return text;
  }

  #list(values) {
    let text = '';
    // By index, for an array may have holes, which are nil.
    for (let i = 0; i < values.length; i += 1) {
      text += (i > 0 ? ',' : '') + this.#part(values[i]);
      this.#text.step(text.length);
    }
    return `[${text}]`;
  }

  #pairs(keys, valueAt) {
    let text = '';
    for (let i = 0; i < keys.length; i += 1) {
      text += `${i > 0 ? ',' : ''}[${this.#part(keys[i])},${this.#part(valueAt(i))}]`;
      this.#text.step(text.length);
    }
    return `[${text}]`;
  }

  #slots(value, names) {
    // The names are identifiers, which JSON takes as they are.
    return `{${names.map((name) => `"${name}":${this.#part(value[name])}`).join()}}`;
  }

  // Nodes.

  #node(value) {
    if (typeof value === 'number') return numberNode(value);
    try {
      return this.#object(value);
    } catch (error) {
      // Accessors that somebody has put on an object, and insides that somebody has changed.
      if (error instanceof Failure) throw error;
      return this.#lost('Object', 'an Object', 'it cannot be read');
    }
  }

  #object(value) {
    if (value === this.#workspace?.object) return '["amber:workspace"]';
    const behavior = value.a$cls;
    const shape = this.#shapes.of(behavior);
    switch (shape.family) {
      case 'plain':
        return this.#plain(value, shape);
      case 'array':
        return this.#hinted(value, shape, `["list",${this.#list(value)}]`);
      case 'set':
        return this.#hinted(value, shape, `["set",${this.#list(this.#sets.elements(value))}]`);
      case 'dictionary':
        return this.#dictionary(value, shape);
      case 'hashed': {
        const keys = Object.keys(value);
        const pairs = this.#pairs(keys, (i) => value[keys[i]]);
        return this.#hinted(value, { ...shape, slots: [] }, `["dictionary",${pairs}]`);
      }
      case 'exception':
        return this.#exception(value, shape);
      case 'date':
        if (types.isDate(value)) return dateNode(value);
        return this.#plain(value, shape);
      case 'regexp':
        if (types.isRegExp(value)) {
          const { source, flags } = value;
          return `["amber:regexp",${JSON.stringify(source)},${JSON.stringify(flags)}]`;
        }
        return this.#plain(value, shape);
      case 'boxed':
        return this.#plain(value, shape);
      case 'class':
        return this.#class(value);
      case 'method': {
        const { methodClass, selector } = value;
        if (!methodClass) return this.#lostOf(value, shape);
        const { name } = methodClass.meta ? methodClass.instanceClass : methodClass;
        const fields = [name, methodClass.meta === true, selector];
        return JSON.stringify(['amber:method', ...fields]);
      }
      case 'image':
        return '["amber:image"]';
      default:
        return this.#lostOf(value, shape);
    }
  }

  #plain(value, shape) {
    const { globals } = this.#amber;
    const behavior = value.a$cls;
    const isPair = shape.slots.length === 2; // people may have added slots to Amber's classes
    if (behavior === globals.Point && isPair) {
      return `["point",${this.#part(value.x)},${this.#part(value.y)}]`;
    }
    if (behavior === globals.Association && isPair) {
      return `["association",${this.#part(value.key)},${this.#part(value.value)}]`;
    }
    this.#checkClass(shape);
    return `["instance",${JSON.stringify(shape.name)},${this.#slots(value, shape.slots)}]`;
  }

  #checkClass({ name, isCurrent }) {
    if (isCurrent) return;
    if (this.#amber.classNamed(name) === undefined) {
      this.#troubles.loss(this.#index, `${article(name)}: the image has no class ${name} any more`);
    } else {
      const text = `${article(name)}: it will be one of the present class ${name}`;
      this.#troubles.remark(this.#index, text);
    }
  }

  // A node that other dialects understand, and what only Amber knows of it, aside.
  #hinted(value, shape, node) {
    const { name, root, slots } = shape;
    if (value.a$cls === root && ['array', 'set', 'dictionary'].includes(shape.family)) return node;
    this.#checkClass(shape);
    const known = `[${JSON.stringify(name)},${this.#slots(value, slots)}]`;
    this.#hints.push(`"${this.#index}":${known}`);
    return node;
  }

  #dictionary(value, shape) {
    const { keys, values } = value;
    if (!Array.isArray(keys) || !Array.isArray(values) || keys.length !== values.length) {
      return this.#lostOf(value, shape, 'its keys and values do not fit each other');
    }
    const pairs = this.#pairs(keys, (i) => values[i]);
    return this.#hinted(value, shape, `["dictionary",${pairs}]`);
  }

  // Its context is over, and what JavaScript notes of its origin.
  #exception(value, shape) {
    this.#checkClass(shape);
    const { message } = value;
    const isText = typeof message === 'string';
    const left = new Set(['stack', 'context', ...(isText ? ['message'] : [])]);
    const names = shape.slots.filter((name) => !left.has(name));
    if ((value.context ?? null) !== null) {
      this.#troubles.remark(this.#index, `${article(shape.name)}: its context is not kept`);
    }
    const slots = this.#slots(value, names);
    const text = JSON.stringify(isText ? message : '');
    return `["exception",${JSON.stringify(shape.name)},${text},${slots}]`;
  }

  #class(value) {
    const name = value.meta ? value.instanceClass.name : value.name;
    const found = this.#amber.classNamed(name);
    if ((value.meta ? found?.a$cls : found) !== value) {
      this.#troubles.loss(this.#index, `${name}: the image has no such class any more`);
    }
    return JSON.stringify([value.meta ? 'amber:metaclass' : 'class', name]);
  }

  #lostOf(value, { family, root, name }, reason = undefined) {
    const isForeign = family === 'foreign' || root?.name === 'JSObjectProxy';
    const shown = isForeign ? foreignName(value) : article(name);
    const why =
      reason ?? REASONS[isForeign ? 'JSObjectProxy' : root?.name] ?? 'it belongs to the image';
    return this.#lost(name, shown, why);
  }

  #lost(name, shown, reason) {
    this.#troubles.loss(this.#index, `${shown}: ${reason}`);
    return JSON.stringify(['lost', name, shown, reason]);
  }
}

function unboxed(value) {
  if (types.isStringObject(value)) return String.prototype.valueOf.call(value);
  if (types.isNumberObject(value)) return Number.prototype.valueOf.call(value);
  return Boolean.prototype.valueOf.call(value);
}

function foreignName(value) {
  const object = value.a$cls === undefined ? value : value.jsObject;
  return Object.prototype.toString.call(object).slice(0, 200);
}

module.exports = { GraphWriter };
