'use strict';

// The inside of Amber's sets: booleans, numbers, strings and nil are keys of JavaScript objects,
// one for each type; other elements lie in buckets by the names of their classes. Read and filled
// here without asking the elements for equality, which would run user code.

class Sets {
  #prototype;

  /**
   * Made before user code can have changed Amber's sets.
   * @param {object} amber
   */
  constructor(amber) {
    const { _initializeSlowBucketStores, _removeAll } = amber.globals.Set.fn.prototype;
    this.#prototype = { _initializeSlowBucketStores, _removeAll };
  }

  /**
   * A set's elements, in the order in which it enumerates them.
   * @param {object} set
   * @returns {Array}
   * @throws {TypeError} its inside is no set's
   */
  elements(set) {
    const found = [];
    for (const { store, fn } of Object.values(set.fastBuckets)) {
      for (const key of Object.keys(store)) found.push(fn ? fn(key) : key);
    }
    for (const { buckets } of set.slowBucketStores) {
      for (const bucket of Object.values(buckets)) for (const each of bucket) found.push(each);
    }
    for (const each of set.defaultBucket) found.push(each);
    if (found.length !== set.size) throw new TypeError('it has another size than elements');
    return found;
  }

  /**
   * Makes a new object an empty set.
   * @param {object} set
   */
  initialize(set) {
    set.defaultBucket = [];
    this.#prototype._initializeSlowBucketStores.call(set);
    this.#prototype._removeAll.call(set);
  }

  /**
   * Adds an element that is not there yet.
   * @param {object} set
   * @param {*} element
   */
  add(set, element) {
    const isNil = element === null;
    const fast = set.fastBuckets[isNil ? 'boolean' : typeof element];
    if (fast === undefined) {
      this.#bucket(set, element).push(element);
      set.size += 1;
    } else if (!(element in fast.store)) {
      fast.store[element] = true;
      set.size += 1;
    }
  }

  #bucket(set, element) {
    for (const store of set.slowBucketStores) {
      const bucket = store._bucketOfElement_(element);
      if (bucket) return bucket;
    }
    return set.defaultBucket;
  }
}

module.exports = { Sets };
