'use strict';

// What happens to a request: answered at once (ping, interrupt, get_result), or queued for the
// object memory, which does one thing at a time, in the order of arrival. Main thread.

const { Failure, failureReply } = require('./failures');
const { FORMAT, pack } = require('./packing');
const { CAPABILITIES, checkedParameters } = require('./parameters');
const { Results } = require('./results');
const { decodeRequest } = require('./wire');

const EVALUATING = new Set(['evaluate', 'inspect']);

/**
 * @typedef {object} Job a request on its way through the object memory
 * @property {number} number
 * @property {string} command
 * @property {object} parameters checked
 * @property {Array<{client: object, id: string|number}>} waiters who gets the reply
 */

class Dispatcher {
  #memory;
  #identity;
  #send;
  #log;
  #queue = [];
  #running = null;
  #named = new Map();
  #results = new Results();
  #jobs = 0;
  #ready = false;
  #stopping = false;
  #packing = new Set();
  #idle = null;

  /**
   * @param {object} memory runs the jobs; see Memory
   * @param {{uuid: string, name: string, version: string}} identity
   * @param {function(object, object): void} send sends a message to a client
   * @param {function(string): void} log
   */
  constructor(memory, identity, send, log) {
    this.#memory = memory;
    this.#identity = identity;
    this.#send = send;
    this.#log = log;
  }

  /**
   * Takes a message; every one is answered once, by this call or later.
   * @param {object} client
   * @param {Buffer|null} body
   */
  receive(client, body) {
    let id = null;
    try {
      const request = decodeRequest(body);
      ({ id } = request);
      const parameters = checkedParameters(request.command, request.parameters);
      if (request.command !== 'ping') this.#checkEpoch(parameters);
      this.#handle({ client, id }, request.command, parameters);
    } catch (error) {
      const failure = error instanceof Failure ? error : this.#bug(error);
      this.#answer([{ client, id: failure.id ?? id }], finished(failureReply(failure)));
    }
  }

  #bug(error) {
    this.#log(`a bug: ${error.stack}`);
    return new Failure('internal', `A bug in the image: ${error.message}`);
  }

  #checkEpoch({ epoch }) {
    if (epoch === undefined || epoch === this.#memory.epoch) return;
    throw new Failure(
      'wrong_epoch',
      'The epoch that the request names is over; the present one is in details.epoch.',
      { epoch: this.#memory.epoch },
    );
  }

  #handle(waiter, command, parameters) {
    if (command === 'ping') this.#succeed(waiter, this.#pong(parameters));
    else if (command === 'interrupt') this.#succeed(waiter, this.#interrupt(parameters));
    else if (command === 'get_result') this.#succeed(waiter, this.#getResult(parameters));
    else this.#enqueue(waiter, command, parameters);
  }

  #succeed(waiter, result) {
    this.#answer([waiter], finished({ status: 'success', result }));
  }

  #pong({ message }) {
    const { uuid, name, version } = this.#identity;
    return {
      message,
      status: 'ready',
      uptime: this.#memory.uptime,
      busy: this.#running !== null && EVALUATING.has(this.#running.command),
      image: { uuid, epoch: this.#memory.epoch, name, dialect: 'Amber Smalltalk', version },
      capabilities: CAPABILITIES,
      formats: [FORMAT],
    };
  }

  #getResult({ request }) {
    if (this.#named.has(request)) return { state: 'running' };
    const reply = this.#results.of(request);
    return reply === undefined ? { state: 'unknown' } : { state: 'finished', reply };
  }

  #interrupt({ request }) {
    const job = request === undefined ? this.#foremostEvaluation() : this.#named.get(request);
    if (job === undefined) return { interrupted: false };
    if (job === this.#running) this.#memory.interrupt();
    else this.#drop(job);
    return { interrupted: true };
  }

  #foremostEvaluation() {
    const jobs = this.#running === null ? this.#queue : [this.#running, ...this.#queue];
    return jobs.find(({ command }) => EVALUATING.has(command));
  }

  #drop(job) {
    this.#queue.splice(this.#queue.indexOf(job), 1);
    this.#tellWaiting();
    const failure = new Failure('interrupted', 'It was interrupted while it waited.');
    this.#finish(job, failureReply(failure));
  }

  #enqueue(waiter, command, parameters) {
    const { request } = parameters;
    const reply = this.#results.of(request);
    const job = this.#named.get(request);
    if (reply !== undefined) {
      this.#answer([waiter], reply);
    } else if (job !== undefined) {
      job.waiters.push(waiter);
    } else {
      this.#jobs += 1;
      const added = { number: this.#jobs, command, parameters, waiters: [waiter] };
      if (request !== undefined) this.#named.set(request, added);
      this.#queue.push(added);
      if (this.#stopping) this.#drop(added);
      else this.#runNext();
      this.#tellWaiting();
    }
  }

  // Snapshots do not give way to one another.
  #tellWaiting() {
    const waiting = this.#queue.filter(({ command }) => command !== 'snapshot_workspace');
    this.#memory.tellWaiting(waiting.length);
  }

  #runNext() {
    while (this.#ready && !this.#stopping && this.#running === null && this.#queue.length > 0) {
      const job = this.#queue.shift();
      try {
        // It may have waited while the object memory died.
        this.#checkEpoch(job.parameters);
      } catch (error) {
        this.#finish(job, failureReply(error));
        continue;
      }
      this.#running = job;
      this.#tellWaiting();
      this.#memory.run(job.number, job.command, job.parameters);
    }
  }

  /** The object memory takes jobs. */
  memoryReady() {
    this.#ready = true;
    this.#runNext();
  }

  /** The object memory died; how the running job ended cannot be known. */
  memoryLost() {
    this.#ready = false;
    const message = 'The object memory died while it ran the request.';
    this.#finishRunning(failureReply(new Failure('outcome_unknown', message)));
  }

  /**
   * The running job's reply.
   * @param {number} number the job's
   * @param {object} reply without id and timestamp
   * @param {Uint8Array} [text] a snapshot's, that the reply is to have as its `data`
   */
  jobDone(number, reply, text) {
    if (this.#running?.number !== number) return;
    if (text === undefined) this.#finishRunning(reply);
    else this.#packRunning(reply, text);
  }

  // The next job runs meanwhile.
  #packRunning(reply, text) {
    const job = this.#running;
    const packed = this.#pack(job, reply, text).finally(() => this.#packing.delete(packed));
    this.#packing.add(packed);
    this.#running = null;
    this.#idle?.();
    this.#runNext();
  }

  async #pack(job, reply, text) {
    try {
      const data = await pack(text, job.parameters.most_bytes);
      this.#finish(job, { ...reply, result: { ...reply.result, data } });
    } catch (error) {
      this.#finish(job, failureReply(error instanceof Failure ? error : this.#bug(error)));
    }
  }

  #finishRunning(reply) {
    const job = this.#running;
    this.#running = null;
    if (job !== null) this.#finish(job, reply);
    this.#idle?.();
    this.#runNext();
  }

  #finish(job, body) {
    const { request } = job.parameters;
    const reply = finished(body);
    if (request !== undefined) {
      this.#named.delete(request);
      this.#results.keep(request, reply);
    }
    this.#answer(job.waiters, reply);
  }

  #answer(waiters, reply) {
    for (const { client, id } of waiters) this.#send(client, { id, ...reply });
  }

  /**
   * Passes on what the running job has written.
   * @param {number} number the job's
   * @param {string} text
   */
  output(number, text) {
    if (this.#running?.number !== number) return;
    const { session, request = '' } = this.#running.parameters;
    const clients = new Map(
      this.#running.waiters.map(({ client }) => [client.identity.toString('hex'), client]),
    );
    for (const client of clients.values()) {
      this.#send(client, { event: 'output', session, request, text });
    }
  }

  /** Ends what waits and what runs, with an answer. Resolves when nothing runs. */
  async stop() {
    this.#stopping = true;
    for (const job of [...this.#queue]) this.#drop(job);
    if (this.#running !== null) {
      const idle = new Promise((resolve) => (this.#idle = resolve));
      this.#memory.interrupt();
      await idle;
    }
    await Promise.all(this.#packing);
  }
}

function finished(body) {
  return { ...body, timestamp: new Date().toISOString() };
}

module.exports = { Dispatcher };
