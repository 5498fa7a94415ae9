'use strict';

// What an image keeps for life in its state directory: `image.json` with its uuid. Who may use the
// directory is decided before, by the launcher's lock.

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The image's uuid; made, and on disk, when the directory has none yet.
 * @param {string} directory made where it is missing
 * @returns {string}
 * @throws {Error} an `image.json` that is there cannot be read: a new uuid would make it another
 *   image, and lose it its sessions
 */
function imageUuid(directory) {
  fs.mkdirSync(directory, { recursive: true });
  const file = path.join(directory, 'image.json');
  if (!fs.existsSync(file)) writeDurably(file, { uuid: crypto.randomUUID() });
  let uuid;
  try {
    ({ uuid } = JSON.parse(fs.readFileSync(file, 'utf8')));
  } catch (error) {
    throw new Error(`${file} cannot be read (${error.message}); restore it from a backup`);
  }
  if (!UUID.test(uuid)) throw new Error(`${file} holds no uuid; restore it from a backup`);
  return uuid;
}

/**
 * A name for one life of the object memory: 128 random bits.
 * @returns {string}
 */
function newEpoch() {
  return crypto.randomBytes(16).toString('hex');
}

function writeDurably(file, content) {
  const temporary = `${file}.new`;
  const descriptor = fs.openSync(temporary, 'w');
  try {
    fs.writeSync(descriptor, `${JSON.stringify(content)}\n`);
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
  fs.renameSync(temporary, file);
  syncDirectory(path.dirname(file));
}

/**
 * Puts a directory's entries on disk.
 * @param {string} directory
 */
function syncDirectory(directory) {
  const descriptor = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

module.exports = { imageUuid, newEpoch, syncDirectory };
