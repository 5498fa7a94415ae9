'use strict';

// Print strings: of bounded length, in bounded time, and never failing.

const { Interrupted, OutOfTime } = require('./guard');
const { messageOf } = require('./errors');

/** How long an object may take to print itself, and how long one that is too long is counted. */
const PRINT_MS = 3_000;
const COUNT_MS = 500;
const MAX_REASON = 200;

/** Thrown through user code that prints more than anyone wants to count. Code that handles it and
 * goes on is ended by the time limit. */
const ENOUGH = Object.freeze({ toString: () => 'printed enough' });

/** What is kept of a print string that is written bit by bit. */
class Written {
  #limit;
  #countMilliseconds;
  #stopAt = null;
  kept = '';
  length = 0;
  isComplete = true;

  constructor(limit, countMilliseconds = COUNT_MS) {
    this.#limit = limit;
    this.#countMilliseconds = countMilliseconds;
  }

  add(text) {
    if (this.length < this.#limit) this.kept += text.slice(0, this.#limit - this.length);
    this.length += text.length;
    if (this.length <= this.#limit) return;
    this.#stopAt ??= performance.now() + this.#countMilliseconds;
    if (performance.now() > this.#stopAt) {
      this.isComplete = false;
      throw ENOUGH;
    }
  }
}

class Printer {
  #amber;
  #guard;
  #stock;

  /**
   * Made before user code can have changed how things print.
   * @param {object} amber
   * @param {object} guard
   */
  constructor(amber, guard) {
    this.#amber = amber;
    this.#guard = guard;
    const { ProtoObject } = amber.globals;
    this.#stock = {
      printString: ProtoObject.fn.prototype._printString,
      number: Number.prototype._printOn_,
      boolean: Boolean.prototype._printOn_,
      string: String.prototype._printOn_,
    };
  }

  /**
   * The print string of a value.
   * @param {*} value
   * @param {number} limit characters that are kept
   * @param {number} [milliseconds] how long it may take
   * @returns {{text: string, truncated: boolean}}
   */
  print(value, limit, milliseconds = PRINT_MS) {
    const written = new Written(limit);
    try {
      this.#write(value, written, milliseconds);
    } catch (error) {
      if (written.length <= limit) return { text: this.#failed(value, error), truncated: false };
      written.isComplete = false;
    }
    return bounded(written, limit);
  }

  /**
   * The beginning of a value's print string, of which no more is printed than is shown.
   * @param {*} value
   * @param {number} limit characters
   * @param {number} milliseconds how long it may take
   * @returns {string} up to the limit, and ends in `…` where it is cut
   */
  brief(value, limit, milliseconds) {
    const written = new Written(limit, 0);
    let text;
    try {
      this.#write(value, written, milliseconds);
      text = written.kept;
    } catch (error) {
      text = written.length > limit ? written.kept : this.#failed(value, error);
    }
    const isWhole = written.length <= limit && text.length <= limit;
    return isWhole ? text : `${wellCut(text.slice(0, limit - 1))}…`;
  }

  #write(value, written, milliseconds) {
    const simple = this.#simple(value);
    if (simple !== null) {
      written.add(simple);
      return;
    }
    const receiver = this.#amber.receiver(value);
    this.#guard.run(() => {
      if (receiver._printString === this.#stock.printString) {
        receiver._printOn_(this.#streamTo(written));
      } else {
        written.add(String(receiver._printString()));
      }
    }, Math.max(1, Math.ceil(milliseconds)));
  }

  // Numbers, booleans, strings and nil print themselves without user code, unless it has changed
  // how they do.
  #simple(value) {
    if (value === null || value === undefined) return 'nil';
    const type = typeof value;
    if (type !== 'number' && type !== 'boolean' && type !== 'string') return null;
    if (value._printOn_ !== this.#stock[type]) return null;
    return type === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
  }

  // A stream that print methods write to as to any other, and that keeps no more than it has to.
  #streamTo(written) {
    const stream = this.#amber.globals.StringStream._on_('');
    const put = (text) => {
      written.add(typeof text === 'string' ? text : String(this.#amber.receiver(text)._asString()));
      return stream;
    };
    return Object.assign(stream, {
      _nextPutAll_: put,
      _nextPut_: put,
      _nextPutString_: put,
      _contents: () => written.kept,
      _size: () => written.length,
      _position: () => written.length,
    });
  }

  #failed(value, error) {
    return `a ${this.#amber.classNameOf(value)} (printing failed: ${this.#reason(error)})`;
  }

  #reason(error) {
    if (error instanceof OutOfTime) return 'it takes too long';
    if (error instanceof Interrupted) return 'it was interrupted';
    let reason;
    try {
      reason = this.#guard.run(() => messageOf(error), PRINT_MS);
    } catch {
      reason = 'and so does its error';
    }
    return reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason;
  }
}

function bounded(written, limit) {
  if (written.length <= limit) return { text: written.kept, truncated: false };
  const count = written.isComplete ? `${written.length}` : `more than ${written.length}`;
  return { text: `${wellCut(written.kept)}… (${count} characters)`, truncated: true };
}

// Not in the middle of a surrogate pair.
function wellCut(text) {
  return text.replace(/[\ud800-\udbff]$/, '');
}

module.exports = { Printer };
