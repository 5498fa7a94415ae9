'use strict';

// The object memory's thread: boots Amber, files in the changes, and runs one job at a time.

const { parentPort, workerData } = require('worker_threads');
const path = require('path');

const { boot } = require('./amber');
const { guardBackground } = require('./background');
const { boundedReply } = require('./bounds');
const { Browser } = require('./browser');
const { Changes } = require('./changes');
const { ChangesFile } = require('./changes_file');
const { Evaluator } = require('./evaluator');
const { Failure, failureReply } = require('./failures');
const { Guard } = require('./guard');
const { Inspector } = require('./inspector');
const { ObjectRegistry } = require('./object_registry');
const { Output, takeOutput } = require('./output');
const { Printer } = require('./print');
const { guardRecursivePrinting } = require('./recursion');
const { Snapshots } = require('./snapshots');
const { systemInfo } = require('./system_info');
const { Workspaces } = require('./workspaces');

function post(message) {
  parentPort.postMessage(message);
}

// A snapshot's text is packed elsewhere, so that this thread can go on; it is handed over, not
// copied.
function postSnapshot(job, reply) {
  const { text, ...result } = reply.result;
  const told = boundedReply({ ...reply, result }, true);
  if (told.status === 'success') {
    parentPort.postMessage({ kind: 'reply', job, reply: told, text }, [text.buffer]);
  } else post({ kind: 'reply', job, reply: told });
}

function log(text) {
  post({ kind: 'log', text });
}

class ObjectMemory {
  #guard;
  #output;
  #changes;
  #commands;

  /** @param {object} amber booted; @param {object} options the thread's workerData */
  constructor(amber, { nodeModules, stateDirectory, uuid, epoch, name, control }) {
    const forgetPrinting = guardRecursivePrinting(amber);
    const onForeignSignal = () => post({ kind: 'sigint' });
    const guard = new Guard(amber.core, control, onForeignSignal, forgetPrinting);
    const printer = new Printer(amber, guard);
    const workspaces = new Workspaces(amber);
    const objects = new ObjectRegistry(epoch);
    const evaluator = new Evaluator({ amber, guard, printer, workspaces, objects });
    const parts = { amber, guard, printer, evaluator, workspaces, objects };
    const inspector = new Inspector(parts);
    const browser = new Browser(amber);
    const snapshots = new Snapshots({ ...parts, control });
    const { version } = require(path.join(nodeModules, '@ambers', 'lang', 'package.json'));
    const image = { uuid, epoch, name, version };
    this.#guard = guard;
    this.#output = new Output((job, text) => post({ kind: 'output', job, text }), log);
    takeOutput(amber, this.#output);
    const { file, records } = ChangesFile.open(stateDirectory, log);
    this.#changes = new Changes(amber, file, records, log);
    guardBackground(guard, () => this.#changes.record(), log);
    this.#commands = {
      open_workspace: ({ session }) => {
        const created = !workspaces.has(session);
        workspaces.of(session);
        return { session, created };
      },
      close_workspace: ({ session }) => {
        objects.close(session);
        return { session, closed: workspaces.close(session) };
      },
      evaluate: (parameters) => evaluator.evaluate(parameters),
      inspect: (parameters) => inspector.inspect(parameters),
      list_classes: (parameters) => browser.listClasses(parameters),
      browse_class: (parameters) => browser.browseClass(parameters),
      get_method: (parameters) => browser.getMethod(parameters),
      snapshot_workspace: (parameters) => snapshots.snapshot(parameters),
      restore_workspace: (parameters) => snapshots.restore(parameters),
      release_objects: (parameters) => snapshots.release(parameters),
      system_info: ({ info_type: infoType }) => systemInfo(amber, image, infoType),
    };
  }

  /**
   * Runs a job. What it changed is on disk when its reply is sent.
   * @param {{job: number, command: string, parameters: object}} message
   */
  run({ job, command, parameters }) {
    this.#guard.belongTo(job);
    this.#output.belongTo(job);
    const reply = this.#reply(() => this.#perform(command, parameters));
    this.#output.belongTo(0);
    this.#guard.belongTo(0);
    if (reply.result?.text) postSnapshot(job, reply);
    else post({ kind: 'reply', job, reply: boundedReply(reply) });
  }

  #perform(command, parameters) {
    try {
      return this.#commands[command](parameters);
    } finally {
      this.#record();
    }
  }

  #record() {
    try {
      this.#changes.record();
    } catch (error) {
      log(`changes could not be recorded: ${error.stack ?? error}`);
      throw new Failure(
        'internal',
        `It was run, but the changes could not be recorded: ${error.message}. ` +
          'They are recorded with the next evaluation, once there is room.',
      );
    }
  }

  #reply(work) {
    try {
      return { status: 'success', result: work() };
    } catch (error) {
      if (error instanceof Failure) return failureReply(error);
      log(`a bug: ${error?.stack ?? error}`);
      const message = `A bug in the image: ${error?.message ?? error}`;
      return failureReply(new Failure('internal', message));
    }
  }
}

async function main() {
  const memory = new ObjectMemory(await boot(workerData.nodeModules), workerData);
  parentPort.on('message', (message) => {
    if (message.kind === 'stop') process.exit(0);
    memory.run(message);
  });
  post({ kind: 'ready' });
}

main();
