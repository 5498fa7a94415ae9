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
    const id = (hasIdentity && ids.get(object)) || this.#newId();
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

  #newId() {
    this.#issued += 1;
    return `${this.#epoch}-${this.#issued.toString(36)}`;
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
