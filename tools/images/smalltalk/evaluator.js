'use strict';

// Runs code in a session's workspace.

const { toldVariables } = require('./bounds');
const { evaluationFailure } = require('./errors');
const { readCode } = require('./source');

/** Characters of a print string. */
const MAX_PRINT = 65_536;

class Evaluator {
  #amber;
  #guard;
  #printer;
  #workspaces;
  #objects;

  /** @param {object} parts `amber`, `guard`, `printer`, `workspaces` and `objects` */
  constructor({ amber, guard, printer, workspaces, objects }) {
    this.#amber = amber;
    this.#guard = guard;
    this.#printer = printer;
    this.#workspaces = workspaces;
    this.#objects = objects;
  }

  /**
   * The command `evaluate`.
   * @param {{session: string, code: string, mode: string}} parameters
   * @returns {object} the result that docs/image-protocol.md describes
   * @throws {Failure} evaluation_error or interrupted
   */
  evaluate({ session, code, mode }) {
    const started = performance.now();
    const before = this.#workspaces.of(session).names;
    const value = this.value(session, code);
    const { text, truncated } = this.#printer.print(value, MAX_PRINT);
    const names = this.#workspaces.of(session).names;
    return {
      result: text,
      result_type: this.#amber.classNameOf(value),
      execution_time: Math.round(performance.now() - started),
      has_error: false,
      truncated,
      ...(names.length === before.length ? {} : { variables: toldVariables(names) }),
      ...(mode === 'Display' ? { object_id: this.#objects.idOf(session, value) } : {}),
    };
  }

  /**
   * The value of code in a session's workspace.
   * @param {string} session
   * @param {string} code
   * @returns {*}
   * @throws {Failure} evaluation_error or interrupted
   */
  value(session, code) {
    const workspace = this.#workspaces.of(session);
    const before = workspace.names.length;
    try {
      return this.#run(workspace, this.#compile(workspace, code));
    } catch (error) {
      const failure = evaluationFailure(error, this.#guard);
      // What ran before the error has assigned its variables.
      if (workspace.names.length > before) {
        failure.details.variables = toldVariables(workspace.names);
      }
      throw failure;
    }
  }

  #compile(workspace, source) {
    const { globals } = this.#amber;
    try {
      return this.#guard.run(() =>
        workspace.compile(readCode(this.#amber, source), (method, forClass) =>
          globals.Compiler._new()._compile_forClass_protocol_(method, forClass, 'workspace'),
        ),
      );
    } catch (error) {
      const failure = evaluationFailure(error, this.#guard);
      failure.details.stack = []; // the compiler's own frames tell nothing about the code
      throw failure;
    }
  }

  #run(workspace, method) {
    const { core } = this.#amber;
    core.addMethod(method, workspace.class);
    try {
      const value = this.#guard.run(() => workspace.object._doIt());
      return value === undefined || value?.a$nil ? null : value;
    } catch (error) {
      // Described while the method is there, for the frames of the stack are named by it.
      throw evaluationFailure(error, this.#guard);
    } finally {
      core.removeMethod(method, workspace.class);
    }
  }
}

module.exports = { Evaluator, MAX_PRINT };
