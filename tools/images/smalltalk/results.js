'use strict';

// The replies of the last evaluations, by the names of their requests.

/** How many are kept. */
const KEPT = 1_000;

class Results {
  #replies = new Map();

  /**
   * Keeps a reply, and drops the oldest beyond the bound.
   * @param {string} request
   * @param {object} reply without id
   */
  keep(request, reply) {
    this.#replies.set(request, reply);
    if (this.#replies.size > KEPT) this.#replies.delete(this.#replies.keys().next().value);
  }

  /**
   * The reply, or undefined.
   * @param {string} request
   * @returns {object|undefined}
   */
  of(request) {
    return this.#replies.get(request);
  }
}

module.exports = { Results };
