'use strict';

// A snapshot's text as a request or reply carries it, and back: zlib's deflate, in base64.

const zlib = require('zlib');
const { promisify } = require('util');

const { Failure } = require('./failures');

/** The one format of this image's snapshots. */
const FORMAT = 'stui-graph-1';
/** How documents of this image name their dialect, and its own part of them. */
const DIALECT = 'amber';
/** The longest text that is packed or unpacked, bytes. */
const MAX_TEXT = 64 * 1024 * 1024;

const LEVEL = 6;
const deflate = promisify(zlib.deflate);
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Packs a text, in Node's thread pool.
 * @param {Uint8Array} text UTF-8
 * @param {number} mostBytes that the result may have
 * @returns {Promise<string>}
 * @throws {Failure} snapshot_too_large
 */
async function pack(text, mostBytes) {
  const data = (await deflate(text, { level: LEVEL })).toString('base64');
  if (data.length > mostBytes) throw tooLarge(mostBytes, `${data.length} bytes`);
  return data;
}

/**
 * The failure of a snapshot that is larger than it may be.
 * @param {number} limit bytes
 * @param {string} found how large it is
 * @returns {Failure}
 */
function tooLarge(limit, found) {
  const message = `The snapshot may have ${limit} bytes, and would have ${found}.`;
  return new Failure('snapshot_too_large', message, { limit });
}

/**
 * Unpacks data. Takes no more memory than the longest text needs.
 * @param {string} data
 * @returns {*} the JSON value
 * @throws {Failure} snapshot_damaged
 */
function unpack(data) {
  const bytes = Buffer.from(data, 'base64');
  // Node passes over what is no base64.
  if (bytes.toString('base64') !== data) throw damaged('it is no base64');
  try {
    const { buffer, engine } = zlib.inflateSync(bytes, { maxOutputLength: MAX_TEXT, info: true });
    if (engine.bytesWritten !== bytes.length) throw new Error('it goes on after its end');
    return JSON.parse(utf8.decode(buffer));
  } catch (error) {
    throw damaged(error.message);
  }
}

/**
 * The failure of a snapshot that cannot be read.
 * @param {string} what is wrong
 * @returns {Failure}
 */
function damaged(what) {
  const message = `The snapshot cannot be read: ${what}. The workspace is as it was.`;
  return new Failure('snapshot_damaged', message);
}

module.exports = { DIALECT, FORMAT, MAX_TEXT, pack, unpack, tooLarge, damaged };
