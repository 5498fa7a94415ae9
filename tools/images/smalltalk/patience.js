'use strict';

// How long a snapshot goes on while others wait.

const { othersWait } = require('./control');
const { Failure } = require('./failures');

/** How long it may run while something else waits, milliseconds. */
const PATIENCE_MS = 10;
/** It is looked at every so many steps. */
const STEPS = 256;

class Patience {
  #control;
  #started = performance.now();
  #steps = 0;

  /** @param {Int32Array} control shared with the main thread */
  constructor(control) {
    this.#control = control;
  }

  /**
   * Counts a step, and looks after others now and then.
   * @returns {boolean} it looked
   * @throws {Failure} snapshot_given_up
   */
  step() {
    this.#steps += 1;
    if (this.#steps % STEPS !== 0) return false;
    this.look();
    return true;
  }

  /**
   * Looks after others.
   * @throws {Failure} snapshot_given_up
   */
  look() {
    if (othersWait(this.#control) && performance.now() - this.#started > PATIENCE_MS) {
      throw givenUp('something else was asked meanwhile');
    }
  }
}

/**
 * The failure of a snapshot that was given up.
 * @param {string} reason
 * @returns {Failure}
 */
function givenUp(reason) {
  return new Failure('snapshot_given_up', `The snapshot was given up: ${reason}.`, { reason });
}

module.exports = { Patience, givenUp };
