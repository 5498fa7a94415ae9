'use strict';

// Collections that contain themselves, or are nested deeply, print `an Array (...)` where they
// would overflow the stack: the stock `printOn:` of Amber's collections is wrapped in that check.

const { article } = require('./amber');

const MAX_DEPTH = 200;
const GUARDED = ['Association', 'AssociativeCollection', 'Array', 'Set'];

/**
 * Guards the collections' printing.
 * @param {object} amber
 * @returns {function(): void} to be called before user code runs: forgets a printing that was torn
 */
function guardRecursivePrinting(amber) {
  const printing = new Set();

  function guarded(printOn) {
    return function (stream) {
      if (printing.has(this) || printing.size >= MAX_DEPTH) {
        stream._nextPutAll_(`${article(amber.classNameOf(this))} (...)`);
        return this;
      }
      printing.add(this);
      try {
        return printOn.call(this, stream);
      } finally {
        printing.delete(this);
      }
    };
  }

  for (const name of GUARDED) {
    const { prototype } = amber.globals[name].fn;
    Object.defineProperty(prototype, '_printOn_', {
      value: guarded(prototype._printOn_),
      enumerable: false,
      configurable: true,
      writable: true,
    });
  }
  return () => printing.clear();
}

module.exports = { guardRecursivePrinting };
