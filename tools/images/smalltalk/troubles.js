'use strict';

// What cannot be kept of a graph, and whom it concerns: everything from which it can be reached.

const { cut } = require('./bounds');

/** How many troubles are named in a reason; of more it is said that there are more. */
const NAMED = 3;
/** Characters of one: it may tell names that come with a snapshot, and so from anyone. */
const MAX_TEXT = 500;

class Troubles {
  #from = [];
  #to = [];
  #losses = new Map();
  #remarks = new Map();
  #settled = null;

  /**
   * Notes that a node refers to another one.
   * @param {number} from index
   * @param {number} to index
   */
  edge(from, to) {
    this.#from.push(from);
    this.#to.push(to);
  }

  /**
   * Notes that something of a node is not kept.
   * @param {number} index
   * @param {string} text
   */
  loss(index, text) {
    note(this.#losses, index, text);
  }

  /**
   * Notes that something of a node becomes something else.
   * @param {number} index
   * @param {string} text
   */
  remark(index, text) {
    note(this.#remarks, index, text);
  }

  /**
   * Carries the troubles to all whom they concern, before they are asked for.
   * @param {number} count of nodes
   * @param {function(): void} [step] called often; may throw
   */
  settle(count, step = () => {}) {
    if (this.#losses.size + this.#remarks.size === 0) {
      this.#settled = { losses: new Map(), remarks: new Map() };
      return;
    }
    const parents = parentsOf(this.#from, this.#to, count, step);
    this.#settled = {
      losses: carried(this.#losses, parents, step),
      remarks: carried(this.#remarks, parents, step),
    };
  }

  /**
   * What is to be told of a node.
   * @param {number|null} index null: a value without a node
   * @returns {{whole: boolean, reason: string|undefined}} whole: nothing of it is lost
   */
  at(index) {
    const losses = this.#settled.losses.get(index) ?? [];
    const all = [...losses, ...(this.#settled.remarks.get(index) ?? [])];
    const named = all.slice(0, NAMED).join('; ') + (all.length > NAMED ? '; and more' : '');
    return { whole: losses.length === 0, reason: named === '' ? undefined : named };
  }
}

function note(troubles, index, text) {
  if (!troubles.has(index)) troubles.set(index, []);
  troubles.get(index).push(cut(text, MAX_TEXT));
}

// Index → those that refer to it, as two flat arrays: the parents of i are those in `sources`
// from starts[i] to starts[i + 1].
function parentsOf(from, to, count, step) {
  const starts = new Int32Array(count + 1);
  for (const index of to) {
    starts[index + 1] += 1;
    step();
  }
  for (let i = 0; i < count; i += 1) starts[i + 1] += starts[i];
  const free = starts.slice();
  const sources = new Int32Array(from.length);
  for (let edge = 0; edge < from.length; edge += 1) {
    sources[free[to[edge]]] = from[edge];
    free[to[edge]] += 1;
    step();
  }
  return { starts, sources };
}

// Breadth first, so that each has the nearest troubles; no more than are needed to know that there
// are more, so that the effort is bounded by the edges.
function carried(troubles, { starts, sources }, step) {
  const reached = new Map();
  const queue = [];
  for (const [index, texts] of troubles) for (const text of texts) queue.push([index, text]);
  for (let i = 0; i < queue.length; i += 1) {
    step();
    const [index, text] = queue[i];
    const texts = reached.get(index) ?? [];
    if (texts.length > NAMED || texts.includes(text)) continue;
    reached.set(index, [...texts, text]);
    for (let at = starts[index]; at < starts[index + 1]; at += 1) queue.push([sources[at], text]);
  }
  return reached;
}

module.exports = { Troubles };
