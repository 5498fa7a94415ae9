'use strict';

// What user code writes to the Transcript or the console: passed on while a job runs, in portions,
// and up to a bound. Outside of jobs (background tasks) it goes to the image's log.

const { format } = require('util');

/** Characters that one job may write; and background tasks, between two jobs. */
const MAX_JOB = 1_048_576;
const MAX_BACKGROUND = 65_536;
/** A portion is sent when it is this long, or this old. */
const PORTION = 8_192;
const PORTION_MS = 50;

class Output {
  #post;
  #log;
  #job = 0;
  #left = MAX_BACKGROUND;
  #waiting = '';
  #since = 0;

  /**
   * @param {function(number, string): void} post sends a job's text
   * @param {function(string): void} log
   */
  constructor(post, log) {
    this.#post = post;
    this.#log = log;
  }

  /**
   * From now on, what is written belongs to a job; what waits is sent before.
   * @param {number} job its number, 0 for none
   */
  belongTo(job) {
    this.#flush();
    this.#job = job;
    this.#left = job === 0 ? MAX_BACKGROUND : MAX_JOB;
  }

  /**
   * Takes what user code writes.
   * @param {string} text
   */
  write(text) {
    if (this.#left <= 0) return;
    if (this.#waiting === '') this.#since = performance.now();
    this.#waiting += text.slice(0, this.#left);
    this.#left -= text.length;
    const isFull = this.#left <= 0;
    if (isFull) this.#waiting += '\n… (the rest of the output is dropped)\n';
    const isDue = performance.now() - this.#since > PORTION_MS || this.#waiting.length > PORTION;
    if (this.#job === 0 || isDue || isFull) this.#flush();
  }

  #flush() {
    if (this.#waiting === '') return;
    if (this.#job === 0) this.#log(this.#waiting.trimEnd());
    else this.#post(this.#job, this.#waiting);
    this.#waiting = '';
  }
}

/**
 * Makes Amber's Transcript and JavaScript's console write here.
 * @param {object} amber
 * @param {Output} output
 */
function takeOutput(amber, output) {
  const transcript = amber.globals.ConsoleTranscript._new();
  // Smalltalk's end of line is a carriage return.
  const write = (value) =>
    output.write(String(amber.receiver(value)._asString()).replace(/\r\n?/g, '\n'));
  Object.assign(transcript, { _show_: write, _cr: () => write('\n') });
  amber.globals.Transcript._register_(transcript);
  for (const method of ['log', 'info', 'warn', 'error', 'debug']) {
    console[method] = (...values) => output.write(`${format(...values)}\n`);
  }
}

module.exports = { Output, takeOutput };
