'use strict';

// What went wrong in user code, out of whatever it threw.

const { cut } = require('./bounds');
const { Failure } = require('./failures');
const { Interrupted } = require('./guard');
const { nameOf } = require('./amber');

const MAX_FRAMES = 100;
const MAX_FRAME = 2_000;
const MAX_MESSAGE = 4_096;
const DESCRIBING_MS = 2_000;
const OWN_FRAME = /node:|stui\.guarded|[/\\](guard|evaluator|object_memory|kernel-runtime)\.js/;

/**
 * The failure that tells what code threw. The text of an error is user code too, and runs guarded.
 * @param {*} error
 * @param {object} guard
 * @returns {Failure}
 */
function evaluationFailure(error, guard) {
  if (error instanceof Failure) return error;
  if (error instanceof Interrupted) return interruption();
  try {
    const described = {
      class: classNameOf(error),
      message: guarded(guard, () => messageOf(error)) ?? plainMessageOf(error),
      stack: guarded(guard, () => stackOf(error)) ?? [],
    };
    return new Failure('evaluation_error', `${described.class}: ${described.message}`, described);
  } catch (interrupted) {
    if (interrupted instanceof Interrupted) return interruption();
    throw interrupted;
  }
}

// Null where it fails or takes too long.
function guarded(guard, work) {
  try {
    return guard.run(work, DESCRIBING_MS);
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return null;
  }
}

function interruption() {
  const message = 'The evaluation was interrupted.';
  return new Failure('interrupted', message, { class: 'Interrupted', message, stack: [] });
}

// Where the message text cannot be had, most often because the receiver in it cannot be printed.
function plainMessageOf({ receiver, smalltalkMessage }) {
  if (!smalltalkMessage) return 'The error has no message text that can be shown.';
  const name = receiver?.a$cls ? nameOf(receiver.a$cls) : 'UndefinedObject';
  return `a ${name} does not understand #${cut(smalltalkMessage.selector)}`;
}

function isReturn(error) {
  return Array.isArray(error) && error.length === 1;
}

// JavaScript's own errors are Errors to Amber; they have no context, and a name that says more.
function isNative(error) {
  return error instanceof Error && !error.context && error.a$cls?.fn === Error;
}

function classNameOf(error) {
  if (isReturn(error)) return 'NonLifoReturn';
  if (isNative(error)) return cut(error.name);
  return error instanceof Error ? nameOf(error.a$cls) : 'JavaScriptException';
}

/**
 * An error's message. Runs user code.
 * @param {*} error
 * @returns {string}
 */
function messageOf(error) {
  let text;
  if (isReturn(error)) text = 'A block returned from a method that has returned already.';
  else if (isNative(error)) text = error.message;
  else text = error instanceof Error ? (error._messageText() ?? '') : error;
  const message = String(text);
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message;
}

function stackOf(error) {
  if (!(error instanceof Error)) return [];
  return error.context ? contextsOf(error.context) : nativeFrames(error);
}

// The innermost frames that raise the error are Amber's, and left out; so is the image's own.
function contextsOf(innermost) {
  const frames = [];
  let context = innermost;
  while (context && !context.a$nil && frames.length < MAX_FRAMES) {
    if (context.selector === '_image') break;
    frames.push(cut(context._asString(), MAX_FRAME));
    context = context._outerContext();
  }
  const raised = frames.findIndex((frame) => !/^\S*Error|^MessageNotUnderstood|^Halt/.test(frame));
  return raised > 0 ? frames.slice(raised) : frames;
}

function nativeFrames(error) {
  return String(error.stack)
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && !OWN_FRAME.test(line))
    .slice(0, MAX_FRAMES)
    .map((line) => cut(line.trim(), MAX_FRAME));
}

module.exports = { evaluationFailure, messageOf };
