'use strict';

// The object memory as the main thread sees it: a thread with Amber in it, that takes one job at a
// time, can be interrupted, and may die (out of memory, or user code that ends it). A new one, with
// a new epoch, follows at once.

const path = require('path');
const { Worker } = require('worker_threads');

const { interrupt, newControl, tellWaiting } = require('./control');
const { newEpoch } = require('./state');

/** How long user code may take to end once it is told to; then the whole object memory does. */
const GRACE_MS = 5_000;
const STOP_MS = 1_500;

class Memory {
  #options;
  #events;
  #worker;
  #control;
  #running = null;
  #deadline;
  #stopping = false;
  #started;
  epoch;

  /**
   * @param {object} options what the thread needs to know: `nodeModules`, `stateDirectory`, `name`,
   *   `uuid` and `heap` (MiB that it may use)
   * @param {object} events callbacks: `onReply(job, reply, text)` (text: a snapshot's, not packed
   *   yet), `onOutput(job, text)`, `onReady()`, `onLost()` when the object memory died (a new one
   *   starts), `onBroken(message)` when none can be started, `onSigint()` when user code took a
   *   SIGINT from outside, and `log(text)`
   */
  constructor(options, events) {
    this.#options = options;
    this.#events = events;
  }

  /** Starts the thread; `onReady` follows. */
  start() {
    this.epoch = newEpoch();
    this.#started = process.hrtime.bigint();
    this.#control = newControl();
    this.#worker = new Worker(path.join(__dirname, 'object_memory.js'), {
      workerData: { ...this.#options, epoch: this.epoch, control: this.#control },
      // User code that floods a pipe which nobody reads must not hold up this thread; what is
      // written by Smalltalk's means (Transcript, console) comes as messages.
      // Where user code exceeds it, the object memory dies, most often without the process.
      resourceLimits: { maxOldGenerationSizeMb: this.#options.heap },
      stdout: true,
      stderr: true,
    });
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    let ready = false;
    let reason = 'its thread ended';
    this.#worker.on('message', (message) => {
      if (message.kind === 'ready') ready = true;
      this.#receive(message);
    });
    this.#worker.on('error', (error) => (reason = error.message));
    this.#worker.on('exit', () => this.#onExit(ready, reason));
  }

  #receive(message) {
    const { onReply, onOutput, onReady, onSigint, log } = this.#events;
    if (message.kind === 'reply') {
      this.#finished();
      onReply(message.job, message.reply, message.text);
    } else if (message.kind === 'output') onOutput(message.job, message.text);
    else if (message.kind === 'ready') onReady();
    else if (message.kind === 'sigint') onSigint();
    else log(message.text);
  }

  #finished() {
    clearTimeout(this.#deadline);
    this.#running = null;
  }

  #onExit(ready, reason) {
    this.#finished();
    if (this.#stopping) return;
    if (!ready) {
      this.#events.onBroken(`Smalltalk could not be started: ${reason}`);
      return;
    }
    this.#events.log(`the object memory died: ${reason}`);
    this.start();
    this.#events.onLost();
  }

  /** Whole seconds that this object memory lives. */
  get uptime() {
    return Number((process.hrtime.bigint() - this.#started) / 1_000_000_000n);
  }

  /**
   * Runs a job; only when none runs. Its reply is told by `onReply`.
   * @param {number} job its number
   * @param {string} command
   * @param {object} parameters checked
   */
  run(job, command, parameters) {
    this.#running = job;
    this.#worker.postMessage({ kind: 'run', job, command, parameters });
  }

  /**
   * Tells the running job how many others wait for its end.
   * @param {number} count
   */
  tellWaiting(count) {
    tellWaiting(this.#control, count);
  }

  /**
   * Tells the running job to end. If its code does not (a loop that Node cannot leave), the object
   * memory is ended, for what no interrupt can end would be lost in any case.
   */
  interrupt() {
    interrupt(this.#control, this.#running);
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#events.log('code that cannot be interrupted: the object memory is ended');
      this.#worker.terminate();
    }, GRACE_MS);
  }

  /** Ends the thread, orderly where it listens. */
  async stop() {
    this.#stopping = true;
    if (this.#worker === undefined) return;
    const ended = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.postMessage({ kind: 'stop' });
    const deadline = setTimeout(() => this.#worker.terminate(), STOP_MS);
    await ended;
    clearTimeout(deadline);
  }
}

module.exports = { Memory };
