'use strict';

// The commands `snapshot_workspace`, `restore_workspace` and `release_objects`.

const { article } = require('./amber');
const { MAX_VARIABLE_NAME, cut } = require('./bounds');
const { Elements } = require('./elements');
const { Interrupted, OutOfTime } = require('./guard');
const { checkedDocument } = require('./graph_document');
const { GraphReader } = require('./graph_reader');
const { Lost } = require('./graph_values');
const { GraphWriter } = require('./graph_writer');
const { FORMAT, unpack } = require('./packing');
const { Patience, givenUp } = require('./patience');
const { Sets } = require('./sets');
const { Shapes } = require('./shapes');
const { Troubles } = require('./troubles');
const { Workspace, isVariableName } = require('./workspaces');

const MAX_PRINT = 200;
/** How long one object may take to print itself, and all; the rest are shown as `an Object`. */
const PRINT_MS = 100;
const PRINTS_MS = 500;
/** Node takes no longer time limit. */
const MAX_MS = 2 ** 31 - 1;

class Snapshots {
  #amber;
  #control;
  #guard;
  #printer;
  #workspaces;
  #objects;
  #elements;
  #sets;

  /**
   * Made before user code can have changed Amber's collections.
   * @param {object} parts `amber`, `control`, `guard`, `printer`, `workspaces` and `objects`
   */
  constructor({ amber, control, guard, printer, workspaces, objects }) {
    this.#amber = amber;
    this.#control = control;
    this.#guard = guard;
    this.#printer = printer;
    this.#workspaces = workspaces;
    this.#objects = objects;
    this.#elements = new Elements(amber);
    this.#sets = new Sets(amber);
  }

  /**
   * The command `snapshot_workspace`. A session without a workspace gets none by it.
   * @param {object} parameters checked
   * @returns {object} the result that docs/image-protocol.md describes, with `text` (Uint8Array),
   *   to be packed, in place of `data`
   * @throws {Failure} snapshot_too_large or snapshot_given_up
   */
  snapshot({ session, unless, most_bytes: mostBytes, most_seconds: mostSeconds }) {
    const patience = new Patience(this.#control);
    const [shapes, troubles] = [new Shapes(this.#amber), new Troubles()];
    const workspace = this.#workspaces.has(session) ? this.#workspaces.of(session) : null;
    const names = workspace?.names ?? [];
    const variables = names.map((name) => [name, workspace.object[name]]);
    const objects = this.#objects.entries(session);
    const [amber, sets] = [this.#amber, this.#sets];
    const parts = { amber, shapes, sets, workspace, troubles, patience, mostBytes };
    const writer = new GraphWriter(parts);
    const { text, digest, count } = this.#within(mostSeconds, () => {
      const written = writer.write(variables, objects);
      troubles.settle(written.count, () => patience.step());
      return written;
    });
    if (digest === unless) return { session, digest, unchanged: true };

    const told = (value) => {
      const { whole, reason } = troubles.at(writer.indexOf(value));
      return { restorable: whole, ...(reason === undefined ? {} : { reason }) };
    };
    const print = this.#printing(() => patience.look());
    return {
      session,
      digest,
      unchanged: false,
      format: FORMAT,
      text,
      variables: variables.map(([name, value]) => ({
        name: cut(name, MAX_VARIABLE_NAME),
        class: this.#amber.classNameOf(value),
        print_string: print(value),
        size: this.#size(shapes, value),
        ...told(value),
      })),
      objects: objects.map(([id, value]) => ({ object_id: id, ...told(value) })),
      object_count: count,
    };
  }

  // Node's own time limit ends what goes on in an accessor too.
  #within(seconds, work) {
    try {
      return this.#guard.run(work, Math.min(MAX_MS, Math.ceil(seconds * 1_000)));
    } catch (error) {
      if (error instanceof OutOfTime) throw givenUp(`it took longer than ${seconds} s`);
      if (error instanceof Interrupted) throw givenUp('it was interrupted');
      throw error;
    }
  }

  // Elements of a collection, characters of a string, slots of anything else.
  #size(shapes, value) {
    const isObject = Object(value) === value;
    const { family, slots } = isObject ? shapes.of(value.a$cls) : { family: 'plain', slots: [] };
    if (family === 'plain' && isObject) return slots.length;
    try {
      const size = this.#elements.size(value);
      return Number.isSafeInteger(size) ? size : 0;
    } catch (error) {
      // Somebody has changed the inside of a collection.
      if (error instanceof TypeError) return 0;
      throw error;
    }
  }

  // Prints, one after another, in bounded time. Runs user code.
  #printing(beforeEach = () => {}) {
    const deadline = performance.now() + PRINTS_MS;
    return (value) => {
      beforeEach();
      const left = Math.min(PRINT_MS, deadline - performance.now());
      if (left > 0) return this.#printer.brief(value, MAX_PRINT, left);
      return article(this.#amber.classNameOf(value));
    };
  }

  /**
   * The command `restore_workspace`: makes everything first, then gives it to the session.
   * @param {{session: string, data: string}} parameters
   * @returns {object} the result that docs/image-protocol.md describes
   * @throws {Failure} snapshot_damaged
   */
  restore({ session, data }) {
    const document = checkedDocument(unpack(data));
    const workspace = new Workspace(this.#amber);
    const reader = new GraphReader({
      amber: this.#amber,
      shapes: new Shapes(this.#amber),
      sets: this.#sets,
      workspace,
      document,
      troubles: new Troubles(),
    });
    reader.read();
    const variables = document.variables.map(([name, value]) => [name, restored(reader, value)]);
    const objects = document.objects.map(([id, value]) => [id, restored(reader, value)]);
    for (const [name, each] of variables) {
      if (!isVariableName(name)) lose(each, NO_NAME);
    }
    workspace.declare(present(variables));
    this.#workspaces.replace(session, workspace);
    this.#objects.replace(session, present(objects));
    const print = this.#printing();
    return {
      session,
      variables: variables.map(([name, each]) => ({
        name: cut(name, MAX_VARIABLE_NAME),
        ...this.#told(each, print),
      })),
      objects: objects.map(([id, each]) => ({ object_id: id, ...this.#told(each, print) })),
    };
  }

  #told({ fate, value, reason }, print) {
    const isLost = value instanceof Lost;
    return {
      fate,
      class: isLost ? value.className : this.#amber.classNameOf(value),
      print_string: isLost ? value.shown : print(value),
      ...(reason === undefined ? {} : { reason }),
    };
  }

  /**
   * The command `release_objects`.
   * @param {{session: string, object_ids: string[]}} parameters
   * @returns {{session: string, released: number}}
   */
  release({ session, object_ids: ids }) {
    return { session, released: this.#objects.release(session, ids) };
  }
}

const NO_NAME =
  'this is no name for a variable here: they begin with a small letter, and consist of letters ' +
  'and digits';

function restored(reader, value) {
  const found = reader.valueOf(value);
  const { whole, reason } = reader.fateOf(value);
  if (found instanceof Lost) return { fate: 'lost', value: found, reason: found.reason };
  return { fate: whole ? 'restored' : 'partial', value: found, reason };
}

function lose(each, reason) {
  each.fate = 'lost';
  each.reason = reason;
}

function present(entries) {
  return entries
    .filter(([, { fate }]) => fate !== 'lost')
    .map(([name, { value }]) => [name, value]);
}

module.exports = { Snapshots };
