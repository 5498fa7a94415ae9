'use strict';

// The image's ROUTER socket: messages in, messages out, one send at a time.

const { closeFrames, openFrames } = require('./wire');

// Above what a request may have, so that one that is too large is answered and not cut off.
const MAX_FRAME = 64 * 1024 * 1024;
const LINGER_MS = 500;

class Router {
  #socket;
  #outgoing = [];
  #sending = false;
  #log;

  /**
   * @param {object} zeromq the zeromq module
   * @param {function(string): void} log
   */
  constructor(zeromq, log) {
    this.#socket = new zeromq.Router({ linger: LINGER_MS, maxMessageSize: MAX_FRAME });
    this.#log = log;
  }

  /**
   * Binds; a port `*` or 0 becomes a free one.
   * @param {string} endpoint
   * @returns {Promise<string>} the endpoint that it is
   */
  async bind(endpoint) {
    await this.#socket.bind(endpoint.replace(/^(tcp:.*):0$/, '$1:*'));
    return this.#socket.lastEndpoint;
  }

  /**
   * Hands over every message until the socket closes. What has no sender or body is dropped.
   * @param {function(object, Buffer|null): void} receive gets the client and the body
   */
  async receive(receive) {
    for await (const frames of this.#socket) {
      const opened = openFrames(frames);
      if (opened !== null) receive(opened.client, opened.body);
    }
  }

  /**
   * Sends in order, later. A client that is gone or takes nothing loses its messages.
   * @param {object} client as `receive` got it
   * @param {object} message JSON-like
   */
  send(client, message) {
    this.#outgoing.push(closeFrames(client, message));
    if (!this.#sending) this.#flush();
  }

  async #flush() {
    this.#sending = true;
    while (this.#outgoing.length > 0) {
      try {
        await this.#socket.send(this.#outgoing.shift());
      } catch (error) {
        this.#log(`a reply could not be sent: ${error.message}`);
      }
    }
    this.#sending = false;
  }

  /** Sends what waits, and closes. */
  async close() {
    if (this.#outgoing.length > 0) await this.#flush();
    this.#socket.close();
  }
}

module.exports = { Router };
