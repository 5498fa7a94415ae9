'use strict';

// The changes file: one JSON record a line, only ever appended to. What `append` has returned from
// is on disk.

const fs = require('fs');
const path = require('path');

const { syncDirectory } = require('./state');

class ChangesFile {
  #descriptor;
  #size;

  constructor(descriptor, size) {
    this.#descriptor = descriptor;
    this.#size = size;
  }

  /**
   * Opens the file, made where it is missing, and reads it. A last record that was torn (the image
   * was killed while it wrote) is cut off; a damaged one elsewhere is left out.
   * @param {string} directory
   * @param {function(string): void} report says what is dropped
   * @returns {{file: ChangesFile, records: object[]}}
   */
  static open(directory, report) {
    const name = path.join(directory, 'changes.jsonl');
    const descriptor = fs.openSync(name, 'a+');
    syncDirectory(directory);
    const content = fs.readFileSync(name);
    const end = content.lastIndexOf('\n'.charCodeAt(0)) + 1;
    if (end < content.length) {
      report(`the last record of ${name} was torn; its ${content.length - end} bytes are dropped`);
      fs.ftruncateSync(descriptor, end);
      fs.fsyncSync(descriptor);
    }
    const lines = content.toString('utf8', 0, end).split('\n').slice(0, -1);
    const records = lines.map((line, index) => parsed(line, `${name}:${index + 1}`, report));
    return {
      file: new ChangesFile(descriptor, end),
      records: records.filter((record) => record !== null),
    };
  }

  /**
   * Appends records, all or none, and puts them on disk.
   * @param {object[]} records
   * @throws {Error} nothing was written
   */
  append(records) {
    const bytes = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    try {
      for (let written = 0; written < bytes.length; ) {
        written += fs.writeSync(this.#descriptor, bytes, written);
      }
      fs.fsyncSync(this.#descriptor);
    } catch (error) {
      fs.ftruncateSync(this.#descriptor, this.#size);
      throw error;
    }
    this.#size += bytes.length;
  }
}

function parsed(line, place, report) {
  try {
    return JSON.parse(line);
  } catch (error) {
    report(`${place} is damaged and left out: ${error.message}`);
    return null;
  }
}

module.exports = { ChangesFile };
