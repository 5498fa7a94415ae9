'use strict';

// The command `system_info`.

const os = require('os');

/**
 * What there is to know of the image, as strings.
 * @param {object} amber
 * @param {object} image `uuid`, `epoch`, `name` and `version`
 * @param {string} infoType
 * @returns {{info: object}}
 */
function systemInfo(amber, image, infoType) {
  const sections = {
    Basic: () => ({ ...image, dialect: 'Amber Smalltalk', classes: amber.classes().length }),
    Memory: memory,
    Packages: () => packages(amber),
    Environment: environment,
  };
  const wanted = infoType === 'All' ? Object.keys(sections) : [infoType];
  const info = Object.assign({}, ...wanted.map((section) => sections[section]()));
  const strings = Object.entries(info).map(([name, value]) => [name, String(value)]);
  return { info: Object.fromEntries(strings) };
}

function memory() {
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  return {
    resident_bytes: rss,
    heap_bytes: heapTotal,
    heap_used_bytes: heapUsed,
    external_bytes: external,
    system_free_bytes: os.freemem(),
  };
}

// Package → how many classes it has.
function packages(amber) {
  const counts = {};
  for (const { category } of amber.classes()) counts[category] = (counts[category] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).map(([name, n]) => [name, `${n} classes`]));
}

function environment() {
  return {
    node: process.version,
    platform: process.platform,
    architecture: process.arch,
    process_id: process.pid,
    host: os.hostname(),
    processors: os.cpus().length,
  };
}

module.exports = { systemInfo };
