'use strict';

// Shows an object: what it prints, what it consists of, and ids for its parts.

const { cut } = require('./bounds');
const { Failure, shortened } = require('./failures');
const { evaluationFailure } = require('./errors');
const { Elements } = require('./elements');
const { MAX_PRINT } = require('./evaluator');

const MAX_ENTRIES = 1_000;
const MAX_ENTRY_PRINT = 1_024;
/** How long all the entries may take to print. */
const ENTRIES_MS = 3_000;

class Inspector {
  #amber;
  #guard;
  #printer;
  #evaluator;
  #workspaces;
  #objects;
  #elements;
  #hashes = new WeakMap();
  #hashed = 0;

  /** @param {object} parts `amber`, `guard`, `printer`, `evaluator`, `workspaces`, `objects` */
  constructor({ amber, guard, printer, evaluator, workspaces, objects }) {
    this.#amber = amber;
    this.#guard = guard;
    this.#printer = printer;
    this.#evaluator = evaluator;
    this.#workspaces = workspaces;
    this.#objects = objects;
    this.#elements = new Elements(amber);
  }

  /**
   * The command `inspect`.
   * @param {object} parameters checked; `target` or `object_id` is there
   * @returns {object} the result that docs/image-protocol.md describes
   * @throws {Failure} object_not_found, or what evaluating the target throws
   */
  inspect({ session, target, object_id: objectId, depth, include_private: includePrivate }) {
    this.#workspaces.of(session);
    const value =
      target === undefined
        ? this.#object(session, objectId)
        : this.#evaluator.value(session, target);
    const entries = depth > 0 ? this.#entries(value) : new Map();
    const { text } = this.#printer.print(value, MAX_PRINT);
    return {
      object_info: {
        class_name: this.#amber.classNameOf(value),
        string_representation: text,
        hash: this.#hash(value),
        size: this.#elements.size(value),
      },
      instance_vars: this.#printed(entries),
      methods: includePrivate ? this.#selectors(value) : null,
      object_id: this.#objects.idOf(session, value),
      children: mapped(entries, (part) => this.#objects.idOf(session, part)),
    };
  }

  #object(session, id) {
    if (this.#objects.has(session, id)) return this.#objects.at(session, id);
    throw new Failure('object_not_found', `This session has no object ${shortened(id)}.`);
  }

  // Name → part, in order; where two keys print alike, the later ones get a number.
  #entries(value) {
    const entries = new Map();
    for (const [name, part] of this.#slots(value)) {
      entries.set(freeName(entries, cut(name)), part ?? null);
    }
    for (const each of this.#elements.elements(value, MAX_ENTRIES - entries.size)) {
      entries.set(freeName(entries, this.#elementName(each)), each.element ?? null);
    }
    return entries;
  }

  #slots(value) {
    try {
      return this.#guard.run(() => this.#elements.slots(value)).slice(0, MAX_ENTRIES);
    } catch (error) {
      throw evaluationFailure(error, this.#guard);
    }
  }

  #elementName({ index, key }) {
    return index === undefined ? this.#printer.print(key, MAX_ENTRY_PRINT).text : String(index);
  }

  #printed(entries) {
    const deadline = performance.now() + ENTRIES_MS;
    return mapped(
      entries,
      (part) => this.#printer.print(part, MAX_ENTRY_PRINT, deadline - performance.now()).text,
    );
  }

  // The selectors of the object's class and those above it, without what every object has.
  #selectors(value) {
    const selectors = new Set();
    const { Object: root } = this.#amber.globals;
    let each = this.#amber.classOf(value);
    for (; each && each !== root; each = each.superclass) {
      for (const selector of Object.keys(each.methods)) selectors.add(cut(selector));
    }
    return [...selectors].sort();
  }

  // Objects are numbered as they are seen; values that have no identity hash by what they are.
  #hash(value) {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
      return textHash(`${typeof value} ${String(value)}`);
    }
    if (!this.#hashes.has(value)) {
      this.#hashed += 1;
      this.#hashes.set(value, this.#hashed);
    }
    return this.#hashes.get(value);
  }
}

function freeName(entries, name) {
  let free = name;
  for (let number = 2; entries.has(free); number += 1) free = `${name} (${number})`;
  return free;
}

function mapped(entries, transform) {
  return Object.fromEntries([...entries].map(([name, part]) => [name, transform(part)]));
}

// FNV-1a, 32 bits.
function textHash(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash;
}

module.exports = { Inspector };
