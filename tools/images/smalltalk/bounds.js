'use strict';

// What keeps replies small enough for everyone's connection: clients drop theirs at 64 MiB.

const { Failure, failureReply } = require('./failures');

/** Characters of a name that is told: of a class, a selector, a slot. */
const MAX_NAME = 1_024;
/** How many variables are named after an evaluation, and by how many characters. */
const MAX_VARIABLES = 1_000;
const MAX_VARIABLE_NAME = 256;
/** Bytes of a reply without a snapshot's data; and of that, whatever a client takes. */
const MAX_REPLY = 12 * 1024 * 1024;
const MAX_DATA = 32 * 1024 * 1024;

// User code runs in the same thread, and may have others later.
const { stringify } = JSON;
const { byteLength } = Buffer;

/**
 * The beginning of a text that may be of any length.
 * @param {*} text
 * @param {number} limit characters
 * @returns {string} ends in `… (N characters)` where it is cut
 */
function cut(text, limit = MAX_NAME) {
  const whole = String(text);
  if (whole.length <= limit) return whole;
  // Not in the middle of a surrogate pair.
  const begin = whole.slice(0, limit).replace(/[\ud800-\udbff]$/, '');
  return `${begin}… (${whole.length} characters)`;
}

/**
 * The names of a workspace's variables, as an evaluation tells them.
 * @param {string[]} names
 * @returns {string[]}
 */
function toldVariables(names) {
  return names.slice(0, MAX_VARIABLES).map((name) => cut(name, MAX_VARIABLE_NAME));
}

/**
 * A reply, or a small one that says how large it would have been.
 * @param {object} reply without a snapshot's text
 * @param {boolean} [isSnapshot]
 * @returns {object}
 */
function boundedReply(reply, isSnapshot = false) {
  const size = sizeOf(reply);
  if (size <= MAX_REPLY) return reply;
  const would = `would have ${size} bytes; the most is ${MAX_REPLY}.`;
  const failure = isSnapshot
    ? new Failure('snapshot_too_large', `What is told of the snapshot ${would}`)
    : new Failure('reply_too_large', `It was done, but the reply ${would}`);
  failure.details = { size, limit: MAX_REPLY };
  return failureReply(failure);
}

function sizeOf(reply) {
  try {
    return byteLength(stringify(reply));
  } catch (error) {
    // There is no string of such a length.
    if (error instanceof RangeError) return Number.MAX_SAFE_INTEGER;
    throw error;
  }
}

module.exports = { MAX_DATA, MAX_VARIABLE_NAME, boundedReply, cut, toldVariables };
