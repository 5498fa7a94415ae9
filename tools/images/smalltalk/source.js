'use strict';

// What a piece of workspace code is, read by Amber's own parser: does it parse, and which variables
// of the workspace does it use.

const { Failure } = require('./failures');

const PREFIX = 'doIt ^ [ ';
const SUFFIX = ' ] value';
const PSEUDO_VARIABLES = new Set(['self', 'super', 'nil', 'true', 'false', 'thisContext']);

/**
 * @typedef {object} Code
 * @property {string} method the code as the source of a method `doIt`
 * @property {Set<string>} used names that are no temporaries, arguments or pseudo variables
 * @property {Set<string>} assigned those of them that are assigned somewhere
 */

/**
 * Reads code.
 * @param {object} amber
 * @param {string} code statements, as in a workspace
 * @returns {Code}
 * @throws {Failure} evaluation_error, with the position of the syntax error
 */
function readCode(amber, code) {
  const method = PREFIX + code + SUFFIX;
  const block = soleBlock(parse(amber, method, code));
  if (block === null) {
    const message = 'Parse error: workspace code is a sequence of statements.';
    throw new Failure('evaluation_error', message, { class: 'ParseError', message, stack: [] });
  }
  const used = new Set();
  const assigned = new Set();
  visit(block, new Set(), used, assigned);
  return { method, used, assigned };
}

function parse(amber, method, code) {
  try {
    return amber.globals.Compiler._new()._basicParse_(method);
  } catch (error) {
    if (error?.location === undefined) throw error;
    throw syntaxError(code, error.location.start.offset - PREFIX.length);
  }
}

function syntaxError(code, offset) {
  const index = Math.min(Math.max(offset, 0), code.length);
  const before = code.slice(0, index).split(/\r\n|\r|\n/);
  const line = before.length;
  const column = before[before.length - 1].length + 1;
  const found =
    index < code.length
      ? `unexpected ${String.fromCodePoint(code.codePointAt(index))}`
      : 'the code ends too early';
  const message = `Parse error on line ${line} column ${column}: ${found}`;
  return new Failure('evaluation_error', message, {
    class: 'ParseError',
    message,
    stack: [],
    line,
    column,
    position: index + 1,
  });
}

// The block that `doIt` evaluates, unless the code has closed its bracket and opened another one.
function soleBlock(methodNode) {
  const [statement] = methodNode._sequenceNode()._dagChildren();
  const send = statement._expression();
  if (kind(send) !== 'SendNode' || send._selector() !== 'value') return null;
  const block = send._receiver();
  return kind(block) === 'BlockNode' && block._parameters().length === 0 ? block : null;
}

function kind(node) {
  return node.a$cls.name;
}

function visit(node, locals, used, assigned) {
  let inner = locals;
  if (kind(node) === 'BlockNode') inner = new Set([...locals, ...node._parameters()]);
  else if (kind(node).endsWith('SequenceNode')) inner = new Set([...locals, ...node._temps()]);
  else if (kind(node) === 'VariableNode') note(node, locals, used);
  else if (kind(node) === 'AssignmentNode') note(node._left(), locals, assigned);
  for (const child of node._dagChildren()) visit(child, inner, used, assigned);
}

function note(variable, locals, names) {
  const name = variable._identifier();
  if (!locals.has(name) && !PSEUDO_VARIABLES.has(name)) names.add(name);
}

module.exports = { readCode };
