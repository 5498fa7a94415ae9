'use strict';

// Which definitions have changed. The image is compared with what is recorded, rather than being
// watched, so that no way of changing it goes unnoticed; a look at all of its methods takes less
// than a millisecond.

const { apply, definitionOf, sidesOf } = require('./definitions');

/** What is recorded of a class or trait. */
class Recorded {
  #behavior;
  #shape;
  definition;
  /** Of each side: selector → method, protocol and source. */
  sides;

  constructor(behavior) {
    this.#behavior = behavior;
    this.#shape = shapeOf(behavior);
    this.definition = JSON.stringify(definitionOf(behavior));
    this.sides = sidesOf(behavior).map(({ localMethods }) => methodsIn(localMethods));
  }

  isTrueOf(behavior) {
    return (
      this.#behavior === behavior &&
      shapeOf(behavior).every((part, index) => part === this.#shape[index]) &&
      sidesOf(behavior).every(({ localMethods }, index) => this.#hasAll(localMethods, index))
    );
  }

  #hasAll(localMethods, index) {
    const selectors = Object.keys(localMethods);
    const recorded = this.sides[index];
    return (
      selectors.length === recorded.size &&
      selectors.every((selector) => {
        const { method, protocol } = recorded.get(selector) ?? {};
        return method === localMethods[selector] && protocol === method.protocol;
      })
    );
  }
}

// What a definition is made of; each part is replaced when it changes.
function shapeOf(behavior) {
  const { name, category, comment, superclass } = behavior;
  return [
    ...[name, category, comment, superclass],
    ...sidesOf(behavior).flatMap(({ slots, traitComposition }) => [slots, traitComposition]),
  ];
}

function methodsIn(localMethods) {
  return new Map(
    Object.entries(localMethods).map(([selector, method]) => {
      const { protocol, source } = method;
      return [selector, { method, protocol, source }];
    }),
  );
}

class Changes {
  #amber;
  #recorded;
  #file;

  /**
   * Files in what is recorded. Whatever was defined before is Amber's own.
   * @param {object} amber
   * @param {object} file appends records durably
   * @param {object[]} records
   * @param {function(string): void} report says which records do not fit any more
   */
  constructor(amber, file, records, report) {
    this.#amber = amber;
    this.#file = file;
    for (const record of records) {
      try {
        apply(amber, record);
      } catch (error) {
        const what = record?.name ?? `${record?.class} >> ${record?.selector}`;
        report(`the change ${what} could not be filed in: ${error?.message ?? error}`);
      }
    }
    this.#recorded = new Map(amber.classes().map((each) => [each.name, new Recorded(each)]));
  }

  /**
   * Records what has changed since the last time, on disk when it returns.
   * @throws {Error} it could not be written; the next call tries again
   */
  record() {
    const present = this.#amber.classes();
    const changed = present.filter((each) => !this.#recorded.get(each.name)?.isTrueOf(each));
    const names = new Set(present.map(({ name }) => name));
    const removed = [...this.#recorded.keys()].filter((name) => !names.has(name));
    const records = [
      ...this.#definitions(changed),
      ...changed.flatMap((each) => this.#methodChanges(each)),
      ...removed.map((name) => ({ kind: 'class_removed', name })),
    ];
    if (records.length > 0) this.#file.append(records);
    for (const each of changed) this.#recorded.set(each.name, new Recorded(each));
    for (const name of removed) this.#recorded.delete(name);
  }

  // Superclasses and traits come before those that need them.
  #definitions(changed) {
    const records = new Map();
    const seen = new Set();
    const add = (behavior) => {
      if (!changed.includes(behavior) || seen.has(behavior)) return;
      seen.add(behavior);
      if (behavior.superclass) add(behavior.superclass);
      for (const side of sidesOf(behavior)) {
        for (const { trait } of side.traitComposition ?? []) add(trait);
      }
      records.set(behavior.name, definitionOf(behavior));
    };
    changed.forEach(add);
    return [...records]
      .filter(([name, record]) => this.#recorded.get(name)?.definition !== JSON.stringify(record))
      .map(([, record]) => record);
  }

  #methodChanges(behavior) {
    const recorded = this.#recorded.get(behavior.name)?.sides ?? [];
    return sidesOf(behavior).flatMap((side, index) => {
      const before = recorded[index] ?? new Map();
      const now = methodsIn(side.localMethods);
      const place = { class: behavior.name, class_side: index === 1 };
      const gone = [...before.keys()].filter((selector) => !now.has(selector));
      const different = [...now].filter(([selector, { protocol, source }]) => {
        const old = before.get(selector);
        return old?.source !== source || old.protocol !== protocol;
      });
      return [
        ...gone.map((selector) => ({ kind: 'method_removed', ...place, selector })),
        ...different.map(([selector, { protocol, source }]) => ({
          kind: 'method',
          ...place,
          selector,
          protocol,
          source,
        })),
      ];
    });
  }
}

module.exports = { Changes };
