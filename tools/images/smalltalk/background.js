'use strict';

// User code that runs by itself, after `fork` or `valueWithTimeout:`: it can be interrupted like
// an evaluation, what it defines is recorded, and what it throws is logged and ends nothing.

const { evaluationFailure } = require('./errors');

/**
 * Guards the callbacks of timers that are set from now on, and errors that nobody handles.
 * @param {object} guard
 * @param {function(): void} afterwards called after each callback
 * @param {function(string): void} log
 */
function guardBackground(guard, afterwards, log) {
  const report = (error) =>
    log(`error in a background task: ${evaluationFailure(error, guard).message}`);

  function guarded(callback, values) {
    guard.belongTo(0);
    try {
      guard.run(() => callback(...values));
      afterwards();
    } catch (error) {
      report(error);
    }
  }

  for (const name of ['setTimeout', 'setInterval']) {
    const set = globalThis[name];
    globalThis[name] = (callback, delay, ...values) => set(() => guarded(callback, values), delay);
  }
  const setSoon = globalThis.setImmediate;
  globalThis.setImmediate = (callback, ...values) => setSoon(() => guarded(callback, values));
  process.on('uncaughtException', report);
  process.on('unhandledRejection', report);
}

module.exports = { guardBackground };
