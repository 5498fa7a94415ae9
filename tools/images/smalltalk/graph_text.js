'use strict';

// The text of a snapshot while it is written: in portions of bytes, with their digest, and no
// longer than it may be.

const crypto = require('crypto');

const { MAX_TEXT, tooLarge } = require('./packing');

/** Characters that are collected before they become bytes. */
const PORTION = 65_536;
/** A text is given up early when it is this many times as long as the data may be: JSON of this
 * kind is seldom packed further; and this much is tried in any case. */
const EARLY_RATIO = 32;
const EARLY_FLOOR = 1_048_576;

class GraphText {
  #patience;
  #mostBytes;
  #most;
  #text = '';
  #portions = [];
  #bytes = 0;
  #hash = crypto.createHash('sha256');

  /**
   * @param {object} patience is asked at every step
   * @param {number} mostBytes that the data may have which the text will be packed into
   */
  constructor(patience, mostBytes) {
    this.#patience = patience;
    this.#mostBytes = mostBytes;
    this.#most = Math.min(MAX_TEXT, EARLY_FLOOR + EARLY_RATIO * mostBytes);
  }

  /**
   * Adds to the text.
   * @param {string} text
   * @throws {Failure} snapshot_too_large or snapshot_given_up
   */
  append(text) {
    this.#text += text;
    this.step();
    if (this.#text.length > PORTION) this.#flush();
  }

  #flush() {
    const bytes = Buffer.from(this.#text);
    this.#hash.update(bytes);
    this.#portions.push(bytes);
    this.#bytes += bytes.length;
    this.#text = '';
    this.checkSize(0);
  }

  /**
   * Counts a step on the way to the next portion.
   * @param {number} [unwritten] characters that will be appended at least
   * @throws {Failure} snapshot_too_large or snapshot_given_up
   */
  step(unwritten = 0) {
    if (this.#patience.step()) this.checkSize(unwritten);
  }

  /**
   * Makes sure that there is room.
   * @param {number} unwritten characters that will be appended at least
   * @throws {Failure} snapshot_too_large
   */
  checkSize(unwritten) {
    if (this.#bytes + unwritten <= this.#most) return;
    throw tooLarge(this.#mostBytes, `more than ${this.#most} before it is packed`);
  }

  /**
   * The whole text, as bytes that no other text shares memory with.
   * @returns {{text: Uint8Array, digest: string}}
   * @throws {Failure} snapshot_too_large or snapshot_given_up
   */
  finish() {
    this.#flush();
    this.#patience.look();
    const text = new Uint8Array(this.#bytes);
    let at = 0;
    for (const each of this.#portions) {
      text.set(each, at);
      at += each.length;
    }
    return { text, digest: this.#hash.digest('hex') };
  }
}

module.exports = { GraphText };
