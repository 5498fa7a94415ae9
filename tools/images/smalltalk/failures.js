'use strict';

// What a request can fail with, as docs/image-protocol.md names it.

/** A failure that the client is told; the code decides its `error_type`. */
class Failure extends Error {
  /**
   * @param {string} code the `error_code`
   * @param {string} message what was wrong, and what would be right
   * @param {object} [details] JSON-like
   */
  constructor(code, message, details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

const REQUEST_ERRORS = new Set([
  'malformed',
  'unknown_command',
  'missing_parameter',
  'invalid_parameter',
  'wrong_epoch',
  'not_supported',
  'internal',
]);

/**
 * The body of a failure's reply, without `id` and `timestamp`.
 * @param {Failure|{code: string, message: string, details: object}} failure
 * @returns {object}
 */
function failureReply({ code, message, details }) {
  return {
    status: 'error',
    error: message,
    error_type: REQUEST_ERRORS.has(code) ? 'Error' : 'RuntimeError',
    error_code: code,
    details,
    retryable: false,
  };
}

/**
 * A value as a person recognises it in an error message, cut to 60 characters.
 * @param {*} value JSON-like
 * @returns {string}
 */
function shortened(value) {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

module.exports = { Failure, failureReply, shortened };
