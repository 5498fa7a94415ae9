'use strict';

// Which objects of a session have ids: what was evaluated or inspected last.

/** How many objects of a session are kept; the oldest are forgotten first. */
const KEPT = 10_000;

class ObjectRegistry {
  #epoch;
  #issued = 0;
  #sessions = new Map();

  /** @param {string} epoch is part of each id, so that none is ever used twice */
  constructor(epoch) {
    this.#epoch = epoch;
  }

  /**
   * An id for an object; the one that it has where it has one.
   * @param {string} session
   * @param {*} object
   * @returns {string}
   */
  idOf(session, object) {
    if (!this.#sessions.has(session)) {
      this.#sessions.set(session, { objects: new Map(), ids: new Map() });
    }
    const { objects, ids } = this.#sessions.get(session);
    const hasIdentity = Object(object) === object;
    const id = (hasIdentity && ids.get(object)) || this.#newId(objects);
    // Reinserted, so that the order of the map is that of the last use.
    objects.delete(id);
    objects.set(id, object);
    if (hasIdentity) ids.set(object, id);
    if (objects.size > KEPT) {
      const [[oldest, forgotten]] = objects;
      objects.delete(oldest);
      ids.delete(forgotten);
    }
    return id;
  }

  #newId(taken) {
    let id;
    do {
      this.#issued += 1;
      id = `${this.#epoch}-${this.#issued.toString(36)}`;
    } while (taken.has(id));
    return id;
  }

  /**
   * A session's objects by id, sorted by id.
   * @param {string} session
   * @returns {Array<[string, *]>}
   */
  entries(session) {
    const entries = [...(this.#sessions.get(session)?.objects ?? [])];
    return entries.sort(([one], [other]) => (one < other ? -1 : 1));
  }

  /**
   * Gives a session these objects, under the ids that they had, in place of those that it has.
   * @param {string} session
   * @param {Array<[string, *]>} entries
   */
  replace(session, entries) {
    const ids = new Map();
    for (const [id, object] of entries) if (Object(object) === object) ids.set(object, id);
    this.#sessions.set(session, { objects: new Map(entries), ids });
  }

  /**
   * Forgets objects.
   * @param {string} session
   * @param {string[]} released ids; those that name nothing are passed over
   * @returns {number} how many there were
   */
  release(session, released) {
    if (!this.#sessions.has(session)) return 0;
    const { objects, ids } = this.#sessions.get(session);
    let count = 0;
    for (const id of released) {
      if (!objects.has(id)) continue;
      const object = objects.get(id);
      if (ids.get(object) === id) ids.delete(object);
      objects.delete(id);
      count += 1;
    }
    return count;
  }

  /**
   * Whether the id names an object of this session.
   * @param {string} session
   * @param {string} id
   * @returns {boolean}
   */
  has(session, id) {
    return this.#sessions.get(session)?.objects.has(id) ?? false;
  }

  /**
   * The object of an id that is there.
   * @param {string} session
   * @param {string} id
   * @returns {*}
   */
  at(session, id) {
    return this.#sessions.get(session).objects.get(id);
  }

  /**
   * Forgets a session's objects.
   * @param {string} session
   */
  close(session) {
    this.#sessions.delete(session);
  }
}

module.exports = { ObjectRegistry };
