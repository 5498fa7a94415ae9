'use strict';

// Frames and bytes: a request out of a message's frames, and frames out of a reply.

const { Failure, shortened } = require('./failures');

/** The largest request, bytes. */
const MAX_REQUEST = 10 * 1024 * 1024;

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The sender of a message and its body; `null` for frames that nobody can be answered.
 * @param {Buffer[]} frames as a ROUTER receives them
 * @returns {{client: {identity: Buffer, delimited: boolean}, body: Buffer|null}|null}
 *   the body is null where there is not exactly one
 */
function openFrames(frames) {
  if (frames.length < 2) return null;
  const [identity, ...rest] = frames;
  const delimited = rest[0].length === 0;
  const bodies = delimited ? rest.slice(1) : rest;
  return { client: { identity, delimited }, body: bodies.length === 1 ? bodies[0] : null };
}

/**
 * The frames of a message to a client, in the framing of its request.
 * @param {{identity: Buffer, delimited: boolean}} client
 * @param {object} message JSON-like
 * @returns {Array<Buffer|string>}
 */
function closeFrames({ identity, delimited }, message) {
  const body = JSON.stringify(message, wellFormed);
  return delimited ? [identity, '', body] : [identity, body];
}

// Half a surrogate pair is no text elsewhere, and its JSON is refused by strict readers.
function wellFormed(_key, value) {
  return typeof value === 'string' ? value.replace(LONE_SURROGATE, '\ufffd') : value;
}

/**
 * A request out of a body. A Failure that it throws carries the request's id as `id`, null where
 * none could be read.
 * @param {Buffer|null} body
 * @returns {{id: string|number, command: string, parameters: object}}
 */
function decodeRequest(body) {
  if (body === null) throw malformed('A request is one body frame, behind an empty one or none.');
  if (body.length > MAX_REQUEST) {
    throw malformed(`A request may be up to ${MAX_REQUEST} bytes, not ${body.length}.`);
  }
  if (isCbor(body)) throw malformed('This image reads JSON; the request looks like CBOR.');
  const request = parse(body);
  if (!isObject(request)) {
    throw malformed(`A request is a JSON object, not ${shortened(request)}.`);
  }
  const { id, command, parameters } = request;
  if (typeof id !== 'string' && typeof id !== 'number') {
    throw malformed(`A request's id is a string, not ${shortened(id)}.`);
  }
  if (typeof command !== 'string') {
    throw malformed(`A request's command is a string, not ${shortened(command)}.`, id);
  }
  if (!isObject(parameters ?? {})) {
    throw malformed(`A request's parameters are an object, not ${shortened(parameters)}.`, id);
  }
  return { id, command, parameters: parameters ?? {} };
}

function parse(body) {
  try {
    return JSON.parse(utf8.decode(body));
  } catch (error) {
    throw malformed(`The request is no JSON in UTF-8: ${error.message}`);
  }
}

// A CBOR map (major type 5), bare or behind the self-describing tag.
function isCbor(body) {
  return (body[0] >= 0xa0 && body[0] <= 0xbf) || body[0] === 0xd9;
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(message, id = null) {
  return Object.assign(new Failure('malformed', message), { id });
}

module.exports = { openFrames, closeFrames, decodeRequest };
