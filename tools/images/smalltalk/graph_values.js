'use strict';

// The nodes that refer to no objects, written and read: numbers, texts, dates and what becomes one
// of them here.

const { shortened } = require('./failures');

/** Integers above have nodes of their own in the format, and no number above has a fraction. */
const LARGE = 2 ** 53;
/** From here on, JavaScript writes numbers with an exponent. */
const FLOATS_FROM = 1e21;
/** Of what is shown of something lost, characters. */
const MAX_SHOWN = 200;
/** No number of JavaScript has more digits. */
const MAX_DIGITS = 400;

/** What could not be kept, or cannot be made here. */
class Lost {
  /**
   * @param {string} className
   * @param {string} shown its print string
   * @param {string} reason
   */
  constructor(className, shown, reason) {
    this.className = className.slice(0, MAX_SHOWN);
    this.shown = shown.slice(0, MAX_SHOWN);
    this.reason = reason.slice(0, MAX_SHOWN);
  }

  /** What to tell of it. */
  get text() {
    return `${this.shown}: ${this.reason}`;
  }
}

/**
 * Whether a number has a node, as JSON cannot tell what it is.
 * @param {number} number
 * @returns {boolean}
 */
function needsNode(number) {
  if (!Number.isFinite(number) || Object.is(number, -0)) return true;
  const size = Math.abs(number);
  return size > LARGE && size < FLOATS_FROM;
}

/**
 * The node of such a number.
 * @param {number} number
 * @returns {string} JSON
 */
function numberNode(number) {
  if (Number.isNaN(number)) return '["float","nan"]';
  if (number === Infinity) return '["float","inf"]';
  if (number === -Infinity) return '["float","-inf"]';
  if (number === 0) return '["float","-0.0"]';
  return `["integer","${BigInt(number)}"]`;
}

/**
 * The node of a date.
 * @param {Date} date
 * @returns {string} JSON
 */
function dateNode(date) {
  const time = Date.prototype.getTime.call(date);
  if (Number.isNaN(time)) return '["amber:invalid-date"]';
  return `["datetime","${Date.prototype.toISOString.call(date)}"]`;
}

/**
 * The value of a node of such a kind; of any other kind, it is lost.
 * @param {Array} node checked
 * @param {{nodeAt: function(number): Array, room: number}} around the other nodes, where a part is
 *   an integer; and how many numbers intervals may still become
 * @returns {{value: *, remark: string|undefined}} remark: what it has become
 */
function simpleValue(node, around) {
  const [kind, ...fields] = node;
  if (Object.hasOwn(VALUES, kind)) return VALUES[kind](fields, around);
  const shown = JSON.stringify(node);
  return whole(new Lost(kind, shown, `the kind ${shortened(kind)} is not known here`));
}

const FLOATS = { nan: NaN, inf: Infinity, '-inf': -Infinity, '-0.0': -0 };

const VALUES = {
  integer: ([digits]) => integer(digits),
  float: ([name]) => whole(FLOATS[name]),
  symbol: ([text]) => became(text, 'a symbol', 'a String'),
  character: ([text]) => became(text, 'a character', 'a String'),
  bytes: ([base64]) => became([...Buffer.from(base64, 'base64')], 'bytes', 'an Array of numbers'),
  interval: (fields, around) =>
    interval(
      fields.map((each) => numberOf(each, around)),
      around,
    ),
  fraction: (fields, around) => fraction(...fields.map((each) => numberOf(each, around))),
  duration: ([seconds], around) => {
    const number = numberOf(seconds, around);
    if (number === null) return lostValue('duration', seconds, 'its seconds are no number');
    return became(number, 'a duration', 'the number of its seconds');
  },
  date: ([text]) => moment(`${text}T00:00:00`, `the date ${text}`, 'the Date of its midnight'),
  time: ([text]) => became(text, 'a time of day', 'a String'),
  datetime: ([text]) => datetime(text),
  'amber:invalid-date': () => whole(new Date(NaN)),
  'amber:regexp': (fields) => regexp(...fields),
};

// The number that a value of the document is; null where it is none.
function numberOf(value, { nodeAt }) {
  if (typeof value === 'number') return value;
  if (!Array.isArray(value)) return null;
  const [kind, text] = nodeAt(value[0]);
  if (kind === 'float') return FLOATS[text];
  return kind === 'integer' ? Number(text) : null;
}

function whole(value) {
  return { value, remark: undefined };
}

function became(value, what, other) {
  return { value, remark: `${what} became ${other}` };
}

function lostValue(kind, fields, reason) {
  return whole(new Lost(kind, JSON.stringify(fields), reason));
}

function integer(digits) {
  const shown = shortened(digits);
  if (digits.length > MAX_DIGITS || !Number.isFinite(Number(digits))) {
    return whole(new Lost('integer', shown, 'it is larger than any number here'));
  }
  const number = Number(digits);
  if (BigInt(number) === BigInt(digits)) return whole(number);
  return became(number, `the integer ${shown}`, 'the nearest number that there is');
}

function fraction(numerator, denominator) {
  if (numerator === null || denominator === null) {
    return lostValue('fraction', [numerator, denominator], 'it does not consist of numbers');
  }
  return became(numerator / denominator, `the fraction ${numerator}/${denominator}`, 'a number');
}

function interval(fields, around) {
  const [from, to, step] = fields;
  if (!fields.every(Number.isFinite) || step === 0) {
    return lostValue('interval', fields, 'it does not consist of numbers');
  }
  const count = Math.max(0, Math.floor((to - from) / step) + 1);
  if (count > around.room) {
    return lostValue('interval', fields, `it would be an Array of ${count} numbers`);
  }
  around.room -= count;
  return became(
    Array.from({ length: count }, (_, i) => from + i * step),
    'an interval',
    'an Array of its numbers',
  );
}

function moment(text, what, other) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return lostValue('date', what, 'it is no date');
  return other === null ? whole(date) : became(date, what, other);
}

function datetime(text) {
  const finer = /\.\d{3}\d*[1-9]/.test(text);
  return moment(text, `the time ${text}`, finer ? 'a Date without its microseconds' : null);
}

function regexp(source, flags) {
  try {
    return whole(new RegExp(source, flags));
  } catch (error) {
    return lostValue('RegularExpression', source, error.message);
  }
}

module.exports = { Lost, dateNode, needsNode, numberNode, simpleValue };
