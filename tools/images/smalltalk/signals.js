'use strict';

// SIGTERM and SIGINT from outside. While an evaluation runs, Node hands SIGINT to it (`vm` with
// breakOnSigint), and takes every other handler away, for good. So SIGINT is held by a thread that
// does nothing else than being interrupted, inside `vm` as well: the innermost gets the signal, the
// evaluation where one runs, else that thread. There is no moment in which nobody has it.

const { Worker, isMainThread, parentPort } = require('worker_threads');
const vm = require('vm');

/**
 * Calls back, once or more, when the process is told to end.
 * @param {function(string): void} onEnd gets the signal's name
 * @returns {Promise<void>} SIGINT is held
 */
function holdSignals(onEnd) {
  process.on('SIGTERM', () => onEnd('SIGTERM'));
  const holder = new Worker(__filename);
  holder.unref();
  return new Promise((resolve, reject) => {
    holder.on('error', reject);
    holder.on('message', (message) => (message === 'holding' ? resolve() : onEnd('SIGINT')));
  });
}

const HOOK = Symbol.for('stui.signals');
const WAIT = 'for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);';

// Inside `vm` twice: the first SIGINT tears it out of the inner one, so that the outer one still
// holds the signal, and, being older than any evaluation, leaves the next one to that.
function waitForSigint() {
  globalThis[HOOK] = () => {
    runUntilSigint(WAIT);
    vm.runInThisContext(WAIT);
  };
  parentPort.postMessage('holding');
  for (;;) runUntilSigint("globalThis[Symbol.for('stui.signals')]()");
}

function runUntilSigint(script) {
  try {
    vm.runInThisContext(script, { breakOnSigint: true });
  } catch {
    // The only way out of an endless script: a SIGINT that no evaluation took.
    parentPort.postMessage('interrupted');
  }
}

if (!isMainThread) waitForSigint();

module.exports = { holdSignals };
