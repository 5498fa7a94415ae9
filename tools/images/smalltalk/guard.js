'use strict';

// Runs user code so that it can be ended from outside: inside `vm`, where SIGINT and a time limit
// tear it out of any loop, and no handler in it can catch that.

const vm = require('vm');

const { enter, isInterrupted, leave, reset } = require('./control');

const HOOK = Symbol.for('stui.guarded');
const SCRIPT = new vm.Script("globalThis[Symbol.for('stui.guarded')]()");
const LOST_SIGNAL_MS = 1_000;

/** User code was ended from outside. */
class Interrupted extends Error {}

/** User code took longer than it may. */
class OutOfTime extends Error {}

class Guard {
  #core;
  #control;
  #onForeignSignal;
  #beforeRun;
  #job = 0;

  /**
   * @param {object} core Amber's kernel functions
   * @param {Int32Array} control shared with the main thread
   * @param {function(): void} onForeignSignal a SIGINT came that is not the main thread's
   * @param {function(): void} beforeRun resets what a torn run may have left behind
   */
  constructor(core, control, onForeignSignal, beforeRun) {
    this.#core = core;
    this.#control = control;
    this.#onForeignSignal = onForeignSignal;
    this.#beforeRun = beforeRun;
  }

  /**
   * What runs from now on belongs to this job: the main thread's interrupt of it ends it.
   * @param {number} job its number, 0 for none
   */
  belongTo(job) {
    this.#job = job;
  }

  /**
   * The result of a function that runs user code. Not to be nested.
   * @param {function(): *} work
   * @param {number} [milliseconds] how long it may take; any time by default
   * @returns {*}
   * @throws {Interrupted|OutOfTime} or what the code throws
   */
  run(work, milliseconds) {
    let result;
    globalThis[HOOK] = () => {
      enter(this.#control);
      try {
        if (this.#job !== 0 && isInterrupted(this.#control, this.#job)) throw new Interrupted();
        result = work();
      } finally {
        leave(this.#control);
      }
    };
    this.#beforeRun();
    // The outermost context puts Amber's notion of the present context back, which code that is
    // torn out cannot do.
    this.#core.withContext(
      () => this.#runScript(milliseconds),
      (context) => context.fill(null, '_image', {}),
    );
    return result;
  }

  #runScript(timeout) {
    try {
      SCRIPT.runInThisContext({ breakOnSigint: true, displayErrors: false, timeout });
    } catch (error) {
      if (error?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED') {
        if (!reset(this.#control)) this.#onForeignSignal();
        throw new Interrupted();
      }
      if (error?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
        if (reset(this.#control)) absorbSignal();
        throw new OutOfTime();
      }
      throw error;
    }
  }
}

// The time was over while a signal was on its way: it must not hit anybody else. It may have come
// already, in the same moment.
function absorbSignal() {
  try {
    vm.runInThisContext('for (;;);', { breakOnSigint: true, timeout: LOST_SIGNAL_MS });
  } catch {
    // Either way it is gone now.
  }
}

module.exports = { Guard, Interrupted, OutOfTime };
