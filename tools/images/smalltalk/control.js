'use strict';

// How the main thread ends an evaluation that another thread runs: words of shared memory and
// SIGINT. The main thread sends the signal only while user code runs, and user code does not go on
// to anything else before a signal that was promised has come; so no signal hits something else.

const STATE = 0;
const INTERRUPTED_JOB = 1;
const WAITING = 2;

/** No user code runs: a signal would find nothing to end. */
const IDLE = 0;
/** User code runs, where SIGINT ends it. */
const RUNNING = 1;
/** It runs, and a SIGINT is on its way. */
const SIGNALLED = 2;

/**
 * The words, for both threads.
 * @returns {Int32Array}
 */
function newControl() {
  return new Int32Array(new SharedArrayBuffer(12));
}

/**
 * Tells a job to end: at once where it runs user code, else when it is about to. Main thread.
 * @param {Int32Array} control
 * @param {number} job
 */
function interrupt(control, job) {
  Atomics.store(control, INTERRUPTED_JOB, job);
  if (Atomics.compareExchange(control, STATE, RUNNING, SIGNALLED) === RUNNING) {
    process.kill(process.pid, 'SIGINT');
  }
}

/**
 * Notes that user code begins. Object memory's thread, where SIGINT is taken already.
 * @param {Int32Array} control
 */
function enter(control) {
  Atomics.store(control, STATE, RUNNING);
}

/**
 * Notes that user code is over; where a signal is on its way, it waits for that instead.
 * @param {Int32Array} control
 */
function leave(control) {
  if (Atomics.compareExchange(control, STATE, RUNNING, IDLE) !== RUNNING) {
    for (;;) Atomics.load(control, STATE);
  }
}

/**
 * Notes that user code was torn out of its run.
 * @param {Int32Array} control
 * @returns {boolean} a signal from the main thread was on its way, or did it
 */
function reset(control) {
  return Atomics.exchange(control, STATE, IDLE) === SIGNALLED;
}

/**
 * Whether the main thread told this job to end.
 * @param {Int32Array} control
 * @param {number} job
 * @returns {boolean}
 */
function isInterrupted(control, job) {
  return Atomics.load(control, INTERRUPTED_JOB) === job;
}

/**
 * Tells how many jobs wait for the running one. Main thread.
 * @param {Int32Array} control
 * @param {number} count
 */
function tellWaiting(control, count) {
  Atomics.store(control, WAITING, count);
}

/**
 * Whether jobs wait for the running one.
 * @param {Int32Array} control
 * @returns {boolean}
 */
function othersWait(control) {
  return Atomics.load(control, WAITING) > 0;
}

module.exports = {
  newControl,
  interrupt,
  enter,
  leave,
  reset,
  isInterrupted,
  tellWaiting,
  othersWait,
};
