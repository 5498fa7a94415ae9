'use strict';

// The replies of the last evaluations, by the names of their requests.

/** How many are kept, and how many characters of JSON together. */
const KEPT = 1_000;
const KEPT_CHARACTERS = 64 * 1024 * 1024;

class Results {
  #replies = new Map();
  #size = 0;

  /**
   * Keeps a reply, and drops the oldest beyond the bounds.
   * @param {string} request
   * @param {object} reply without id
   */
  keep(request, reply) {
    const size = JSON.stringify(reply).length;
    this.#replies.set(request, { reply, size });
    this.#size += size;
    while (this.#replies.size > KEPT || (this.#size > KEPT_CHARACTERS && this.#replies.size > 1)) {
      const [oldest, { size: freed }] = this.#replies.entries().next().value;
      this.#replies.delete(oldest);
      this.#size -= freed;
    }
  }

  /**
   * The reply, or undefined.
   * @param {string} request
   * @returns {object|undefined}
   */
  of(request) {
    return this.#replies.get(request)?.reply;
  }
}

module.exports = { Results };
