'use strict';

// The commands that an image serves, and the parameters that each takes.

const { MAX_DATA } = require('./bounds');
const { Failure, shortened } = require('./failures');
const { FORMAT } = require('./packing');

const MAX_NAME = 256;
/** Of a snapshot's data, and of the time that it may take. */
const MOST_BYTES = 8 * 1024 * 1024;
const MOST_SECONDS = 10;

const kinds = {
  text: [(v) => typeof v === 'string', 'a string'],
  name: [
    (v) => typeof v === 'string' && v.length > 0 && [...v].length <= MAX_NAME,
    `a string of 1 to ${MAX_NAME} characters`,
  ],
  flag: [(v) => typeof v === 'boolean', 'true or false'],
  count: [(v) => Number.isSafeInteger(v) && v >= 0, 'an integer, 0 or more'],
  data: [
    (v) => Number.isSafeInteger(v) && v >= 0 && v <= MAX_DATA,
    `an integer from 0 to ${MAX_DATA}`,
  ],
  ids: [
    (v) => Array.isArray(v) && v.every((each) => typeof each === 'string'),
    'a list of strings',
  ],
  seconds: [(v) => Number.isFinite(v) && v > 0, 'a number of seconds above 0'],
  mode: [(v) => ['Display', 'Execute'].includes(v), '"Display" or "Execute"'],
  info: [
    (v) => ['Basic', 'Memory', 'Packages', 'Environment', 'All'].includes(v),
    '"Basic", "Memory", "Packages", "Environment" or "All"',
  ],
};

/** Marks a parameter that has to be there. */
const REQUIRED = Symbol('required');

/** Command → parameter → [kind, default]; an undefined default: it may be absent. */
const COMMANDS = {
  ping: { message: ['text', 'pong'] },
  open_workspace: { session: ['name', REQUIRED] },
  close_workspace: { session: ['name', REQUIRED] },
  evaluate: {
    session: ['name', REQUIRED],
    code: ['text', REQUIRED],
    request: ['name', REQUIRED],
    mode: ['mode', 'Display'],
  },
  inspect: {
    session: ['name', REQUIRED],
    target: ['text', undefined],
    object_id: ['text', undefined],
    depth: ['count', 1],
    include_private: ['flag', false],
    request: ['name', undefined],
  },
  get_result: { request: ['name', REQUIRED] },
  interrupt: { request: ['name', undefined] },
  list_classes: {
    pattern: ['text', '*'],
    include_system: ['flag', true],
    limit: ['count', undefined],
  },
  browse_class: {
    class_name: ['text', REQUIRED],
    include_methods: ['flag', true],
    include_instance_vars: ['flag', true],
    include_class_vars: ['flag', false],
  },
  get_method: {
    class_name: ['text', REQUIRED],
    method_name: ['text', REQUIRED],
    is_class_method: ['flag', false],
  },
  system_info: { info_type: ['info', 'Basic'] },
  snapshot_workspace: {
    session: ['name', REQUIRED],
    unless: ['text', undefined],
    format: ['text', FORMAT],
    most_bytes: ['data', MOST_BYTES],
    most_seconds: ['seconds', MOST_SECONDS],
  },
  restore_workspace: {
    session: ['name', REQUIRED],
    format: ['text', REQUIRED],
    data: ['text', REQUIRED],
  },
  release_objects: { session: ['name', REQUIRED], object_ids: ['ids', REQUIRED] },
};

/** What a ping tells: the names of the other commands. */
const CAPABILITIES = Object.keys(COMMANDS).filter((name) => name !== 'ping');

/**
 * A command's parameters, checked, with the defaults filled in.
 * @param {string} command
 * @param {object} given
 * @returns {object} `epoch` too, undefined where none was named
 */
function checkedParameters(command, given) {
  if (!Object.hasOwn(COMMANDS, command)) {
    const known = Object.keys(COMMANDS).join(', ');
    throw new Failure('unknown_command', `No command ${shortened(command)}; there are: ${known}.`);
  }
  const checked = { epoch: parameter(given, 'epoch', 'text', undefined) };
  for (const [name, [kind, otherwise]] of Object.entries(COMMANDS[command])) {
    checked[name] = parameter(given, name, kind, otherwise);
  }
  if (command === 'inspect') checkInspected(checked);
  if ('format' in checked) checkFormat(checked);
  return checked;
}

function parameter(given, name, kind, otherwise) {
  const value = Object.hasOwn(given, name) ? given[name] : null;
  const [accepts, description] = kinds[kind];
  if (value === null) {
    if (otherwise !== REQUIRED) return otherwise;
    throw new Failure('missing_parameter', `The parameter ${name} is missing: ${description}.`);
  }
  if (accepts(value)) return value;
  throw new Failure(
    'invalid_parameter',
    `The parameter ${name} is ${description}, not ${shortened(value)}.`,
  );
}

function checkFormat({ format }) {
  if (format === FORMAT) return;
  const message = `This image knows no format ${shortened(format)}; it has ${FORMAT}.`;
  throw new Failure('not_supported', message, { formats: [FORMAT] });
}

function checkInspected({ target, object_id: objectId }) {
  if (target === undefined && objectId === undefined) {
    throw new Failure('missing_parameter', 'One of target and object_id is needed.');
  }
  if (target !== undefined && objectId !== undefined) {
    throw new Failure('invalid_parameter', 'Either target or object_id is taken, not both.');
  }
}

module.exports = { checkedParameters, CAPABILITIES };
