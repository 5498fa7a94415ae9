'use strict';

// An image of Amber Smalltalk behind a ZeroMQ socket. This thread has the socket and the signals,
// and never runs user code, so that it always answers; the object memory has a thread of its own.
//
//   node main.js NODE_MODULES ENDPOINT NAME STATE_DIRECTORY

const path = require('path');

const { Dispatcher } = require('./dispatcher');
const { Memory } = require('./memory');
const { Router } = require('./router');
const { holdSignals } = require('./signals');
const { imageUuid } = require('./state');

/** MiB of objects that an image may hold, unless STUI_SMALLTALK_HEAP says otherwise. */
const DEFAULT_HEAP = 2_048;
const LEAST_HEAP = 64;
/** The end comes in any case. */
const END_MS = 4_000;
const INTERRUPT_MS = 1_500;

const [nodeModules, endpoint, name, stateDirectory] = process.argv.slice(2);

function log(text) {
  process.stderr.write(`stui image: ${text}\n`);
}

function fail(status, text) {
  log(text);
  process.exit(status);
}

function heap() {
  const given = process.env.STUI_SMALLTALK_HEAP ?? DEFAULT_HEAP;
  if (Number(given) >= LEAST_HEAP) return Number(given);
  throw new Error(`STUI_SMALLTALK_HEAP is a number of MiB from ${LEAST_HEAP} on, not ${given}`);
}

async function main() {
  const uuid = imageUuid(stateDirectory);
  const { version } = require(path.join(nodeModules, '@ambers', 'lang', 'package.json'));
  const router = new Router(require(path.join(nodeModules, 'zeromq')), log);
  const memory = new Memory(
    { nodeModules, stateDirectory, name, uuid, heap: heap() },
    {
      onReply: (job, reply, text) => dispatcher.jobDone(job, reply, text),
      onOutput: (job, text) => dispatcher.output(job, text),
      onReady: () => {
        announce();
        dispatcher.memoryReady();
      },
      onLost: () => dispatcher.memoryLost(),
      onBroken: (message) => fail(1, message),
      onSigint: () => end('SIGINT'),
      log,
    },
  );
  const dispatcher = new Dispatcher(
    memory,
    { uuid, name, version },
    (client, message) => router.send(client, message),
    log,
  );

  let bound;
  let announced = false;
  function announce() {
    if (announced) return;
    announced = true;
    process.stdout.write(`stui image: ready on ${bound}\n`);
    receive();
  }

  async function receive() {
    await router.receive((client, body) => dispatcher.receive(client, body));
  }

  let ending = false;
  async function end(signal) {
    if (ending) return;
    ending = true;
    log(`ending on ${signal}`);
    setTimeout(() => process.exit(0), END_MS);
    await Promise.race([
      dispatcher.stop(),
      new Promise((resolve) => setTimeout(resolve, INTERRUPT_MS)),
    ]);
    await memory.stop();
    dispatcher.memoryLost();
    await router.close();
    process.exit(0);
  }

  await holdSignals(end);
  try {
    bound = await router.bind(endpoint);
  } catch (error) {
    fail(2, `cannot bind ${endpoint}: ${error.message}; give a free endpoint`);
  }
  memory.start();
}

main().catch((error) => fail(2, error.message));
