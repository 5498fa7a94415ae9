'use strict';

// The form of a `stui-graph-1` document (docs/image-protocol.md), checked before anything is made
// of it.

const { shortened } = require('./failures');
const { DIALECT, damaged } = require('./packing');

/** Kind → what follows it in the node. Kinds of other dialects are not looked into. */
const FIELDS = {
  integer: ['digits'],
  float: ['float'],
  symbol: ['text'],
  character: ['text'],
  bytes: ['base64'],
  array: ['values'],
  list: ['values'],
  set: ['values'],
  dictionary: ['pairs'],
  association: ['value', 'value'],
  point: ['value', 'value'],
  interval: ['value', 'value', 'value'],
  fraction: ['value', 'value'],
  date: ['text'],
  time: ['text'],
  datetime: ['text'],
  duration: ['value'],
  exception: ['text', 'text', 'slots'],
  instance: ['text', 'slots'],
  class: ['text'],
  lost: ['text', 'text', 'text'],
  'amber:image': [],
  'amber:invalid-date': [],
  'amber:metaclass': ['text'],
  'amber:method': ['text', 'flag', 'text'],
  'amber:regexp': ['text', 'text'],
  'amber:workspace': [],
};

const FLOATS = ['nan', 'inf', '-inf', '-0.0'];

/**
 * Checks a document.
 * @param {*} document JSON-like
 * @returns {{dialect: string, variables: Array<[string, *]>, objects: Array<[string, *]>,
 *   nodes: Array[], hints: Map<number, Array>}} hints: index → [class, slots]
 * @throws {Failure} snapshot_damaged
 */
function checkedDocument(document) {
  check(isObject(document), 'it is no JSON object', document);
  const { dialect, variables, objects, nodes } = document;
  check(typeof dialect === 'string', 'its dialect is no string', dialect);
  check(Array.isArray(nodes), 'its nodes are no list', nodes);
  const accepts = acceptors(nodes.length);
  check(accepts.slots(variables), 'its variables are no object of values', variables);
  check(accepts.slots(objects), 'its objects are no object of values', objects);
  for (const node of nodes) check(isNode(node, accepts), 'there is an impossible node', node);
  return {
    dialect,
    variables: Object.entries(variables),
    objects: Object.entries(objects),
    nodes,
    hints: checkedHints(document[DIALECT] ?? {}, nodes.length, accepts),
  };
}

function check(condition, what, value) {
  if (!condition) throw damaged(`${what}: ${shortened(value)}`);
}

function checkedHints(given, count, accepts) {
  check(isObject(given), `what is under ${DIALECT} is no object`, given);
  const hints = new Map();
  for (const [name, hint] of Object.entries(given)) {
    const index = Number(name);
    check(accepts.index(index), `there are ${count} nodes, and none`, name);
    const isHint =
      Array.isArray(hint) &&
      hint.length === 2 &&
      accepts.text(hint[0]) &&
      accepts.slots(hint[1]);
    check(isHint, 'this is no class with its slots', hint);
    hints.set(index, hint);
  }
  return hints;
}

function isNode(node, accepts) {
  if (!Array.isArray(node) || typeof node[0] !== 'string') return false;
  if (!Object.hasOwn(FIELDS, node[0])) return true;
  const fields = FIELDS[node[0]];
  if (node.length !== fields.length + 1) return false;
  return fields.every((field, position) => accepts[field](node[position + 1]));
}

function acceptors(count) {
  const index = (v) => Number.isInteger(v) && v >= 0 && v < count;
  const text = (v) => typeof v === 'string';
  const flag = (v) => typeof v === 'boolean';
  const value = (v) =>
    v === null ||
    flag(v) ||
    text(v) ||
    Number.isFinite(v) ||
    (Array.isArray(v) && v.length === 1 && index(v[0]));
  const values = (v) => Array.isArray(v) && v.every(value);
  return {
    index,
    text,
    flag,
    value,
    values,
    pairs: (v) => Array.isArray(v) && v.every((pair) => values(pair) && pair.length === 2),
    slots: (v) => isObject(v) && Object.values(v).every(value),
    digits: (v) => text(v) && /^[-+]?\d+$/.test(v),
    float: (v) => FLOATS.includes(v),
    base64: (v) => text(v) && Buffer.from(v, 'base64').toString('base64') === v,
  };
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

module.exports = { checkedDocument };
