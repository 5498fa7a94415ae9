'use strict';

// The definitions in the image as plain records, and back: what the changes file is made of.
//
//   {kind: 'class', name, superclass, slots, package, comment, traits, class_slots, class_traits}
//   {kind: 'trait', name, package, comment, traits}
//   {kind: 'method', class, class_side, selector, protocol, source}
//   {kind: 'class_removed', name}            a class or trait
//   {kind: 'method_removed', class, class_side, selector}

/**
 * A class or trait as a record.
 * @param {object} behavior
 * @returns {object}
 */
function definitionOf(behavior) {
  const { name, category, comment } = behavior;
  const traits = traitsOf(behavior);
  const common = { name, package: category ?? '', comment: comment ?? '', traits };
  if (behavior.trait) return { kind: 'trait', ...common };
  return {
    kind: 'class',
    ...common,
    superclass: behavior.superclass?.name ?? null,
    slots: [...behavior.slots],
    class_slots: [...behavior.a$cls.slots],
    class_traits: traitsOf(behavior.a$cls),
  };
}

function traitsOf(behavior) {
  return (behavior.traitComposition ?? []).map(({ trait, aliases, exclusions }) => ({
    trait: trait.name,
    ...(aliases ? { aliases } : {}),
    ...(exclusions ? { exclusions } : {}),
  }));
}

/**
 * What has methods of its own: the class and its class side; a trait has the one.
 * @param {object} behavior
 * @returns {object[]}
 */
function sidesOf(behavior) {
  return behavior.trait ? [behavior] : [behavior, behavior.a$cls];
}

/**
 * Makes a record true.
 * @param {object} amber
 * @param {object} record
 * @throws {Error} it does not fit what is there
 */
function apply(amber, record) {
  const appliers = {
    class: defineClass,
    trait: defineTrait,
    method: defineMethod,
    class_removed: removeClass,
    method_removed: removeMethod,
  };
  if (!Object.hasOwn(appliers, record.kind)) throw new Error(`no kind of record: ${record.kind}`);
  appliers[record.kind](amber, record);
}

function defineClass(amber, record) {
  const { globals, core } = amber;
  const superclass = record.superclass === null ? core.nil : existing(amber, record.superclass);
  const made = globals.ClassBuilder._new()._addSubclassOf_named_slots_package_(
    superclass ?? null,
    record.name,
    record.slots,
    record.package,
  );
  made.comment = record.comment;
  core.setSlots(made.a$cls, record.class_slots);
  compose(amber, made, record.traits);
  compose(amber, made.a$cls, record.class_traits);
}

function defineTrait(amber, record) {
  const builder = amber.globals.ClassBuilder._new();
  const made = builder._addTraitNamed_package_(record.name, record.package);
  made.comment = record.comment;
  compose(amber, made, record.traits);
}

function compose(amber, behavior, traits) {
  if (JSON.stringify(traits) === JSON.stringify(traitsOf(behavior))) return;
  const composition = traits.map((each) => ({ ...each, trait: existing(amber, each.trait) }));
  amber.core.setTraitComposition(composition, behavior);
}

function defineMethod(amber, record) {
  amber.globals.Compiler._new()._install_forClass_protocol_(
    record.source,
    side(amber, record),
    record.protocol,
  );
}

function removeClass(amber, { name }) {
  const found = amber.classNamed(name);
  if (found !== undefined) amber.core.removeClass(found);
}

function removeMethod(amber, record) {
  const found = side(amber, record);
  const method = found.localMethods[record.selector];
  if (method !== undefined) amber.core.removeMethod(method, found);
}

function side(amber, { class: name, class_side: classSide }) {
  const found = existing(amber, name);
  return classSide ? found.a$cls : found;
}

function existing(amber, name) {
  const found = amber.classNamed(name);
  if (found === undefined) throw new Error(`there is no class ${name}`);
  return found;
}

module.exports = { apply, definitionOf, sidesOf };
