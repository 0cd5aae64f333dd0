/**
 * Writes the client's types and readers from the bridge's schema: `npm run generate`. With `--check` it writes nothing and
 * fails when what is committed is not what the schema says.
 *
 * `x-unknown` in the schema says what a reader does with a value it does not know (`bridge/src/wire/schema_enums.rs`).
 */
import { readFileSync, writeFileSync } from 'node:fs';

/** Answers of HTTP calls that the client reads; messages are all read. */
const answers = [
  'JobAnswer',
  'JobsAnswer',
  'OutputsAnswer',
  'BatchAnswer',
  'QuotaAnswer',
  'WebhooksAnswer',
  'WebhookAnswer',
  'WebhookTestAnswer',
  'WebhookDeliveriesAnswer',
];

const web = new URL('..', import.meta.url);
const schema = JSON.parse(readFileSync(new URL('../schema/messages.schema.json', web), 'utf8'));
const all = schema.$defs;

/** `#/$defs/Zone` → `Zone` */
const target = (ref) => ref.slice('#/$defs/'.length);
const readerName = (name) => `read${name}`;

/** `ZoneStatus` → `zoneStatuses` */
function wordsName(name) {
  const plural = name.replace(/y$/, 'ie').replace(/([sx])$/, '$1e');
  return `${plural[0].toLowerCase()}${plural.slice(1)}s`;
}

function comment(text, indent = '') {
  if (!text) return '';
  const line = text
    .replace(/\s+/g, ' ')
    .replace(/\[`|`\]/g, '`')
    .replaceAll('*/', '* /');
  return `${indent}/** ${line} */\n`;
}

/** The words of an enum: schemars writes plain ones as `enum`, those with comments as a choice of constants. */
function words({ enum: plain, oneOf }) {
  if (plain) return plain;
  if (!oneOf?.every((one) => one.const !== undefined || (one.enum && one.type === 'string'))) return null;
  return oneOf.flatMap((one) => one.enum ?? [one.const]);
}

/** The one schema in what may also be `null`. */
function unwrapped(field) {
  if (Array.isArray(field.type) && field.type.includes('null')) {
    return [{ ...field, type: field.type.find((one) => one !== 'null') }, true];
  }
  const rest = field.anyOf?.filter((one) => one.type !== 'null');
  return rest?.length === 1 ? [rest[0], true] : [field, false];
}

/** The type of a field and the expression that reads it. */
function read(field, path) {
  const [inner, isNullable] = unwrapped(field);
  const { type, reader } = plain({ ...inner, 'x-unknown': field['x-unknown'] ?? inner['x-unknown'] }, path);
  return isNullable ? { type: `${type} | null`, reader: `nullable(${reader})` } : { type, reader };
}

function plain(field, path) {
  if (field.$ref) return named(target(field.$ref));
  switch (field.type) {
    case 'string':
      return { type: 'string', reader: 'text' };
    case 'boolean':
      return { type: 'boolean', reader: 'flag' };
    case 'integer':
    case 'number': {
      const { minimum, maximum } = field;
      const isRange = field.type === 'number' && minimum !== undefined && maximum !== undefined;
      return { type: 'number', reader: isRange ? `range(${minimum}, ${maximum})` : 'number' };
    }
    case 'array': {
      const item = read(field.items, path);
      const how = field['x-unknown'] === 'skip' ? 'listOfKnown' : 'list';
      return { type: `readonly ${item.type}[]`, reader: `${how}(${item.reader})` };
    }
    case 'object': {
      const { additionalProperties: inner } = field;
      const value = inner === true ? { type: 'unknown', reader: 'unread' } : read(inner, path);
      return { type: `Readonly<Record<string, ${value.type}>>`, reader: `record(${value.reader})` };
    }
    default:
      throw new Error(`${path}: no TypeScript for ${JSON.stringify(field)}`);
  }
}

function named(name) {
  const known = words(all[name]);
  if (known === null) return { type: name, reader: readerName(name) };
  const fallback = all[name]['x-unknown'];
  if (fallback === 'keep') return { type: name, reader: 'text' };
  const more = fallback === undefined ? '' : `, '${fallback}'`;
  return { type: name, reader: `word(${wordsName(name)}${more})` };
}

/** Names that a definition needs, itself last. */
function needed(name, found = new Set()) {
  for (const match of JSON.stringify(all[name]).matchAll(/"#\/\$defs\/(\w+)"/g)) {
    if (!found.has(match[1])) needed(match[1], found);
  }
  return found.add(name);
}

/** `job-queued` → `JobEvent`, of all messages. */
const messages = all.ServerMessage.oneOf.map((one) => ({
  type: one.properties.type.const,
  name: target(one.$ref),
}));

/** A job event is a job with more fields beside it. */
const extended = { JobEvent: 'Job' };

function fields(name) {
  const of = all[name];
  const base = all[extended[name]]?.properties ?? {};
  const own = Object.entries(of.properties).filter(([field]) => !(field in base));
  return own.map(([field, its]) => {
    const isOptional = !of.required?.includes(field);
    const { type, reader } = read(its, `${name}.${field}`);
    if (its.default !== undefined) {
      // Bridges that are older than the field leave it out.
      return {
        field,
        description: its.description,
        type,
        reader: `optional(${reader}, ${JSON.stringify(its.default)})`,
      };
    }
    const isNull = isOptional && !type.endsWith('| null');
    return {
      field,
      description: its.description,
      type: isNull ? `${type} | null` : type,
      reader: isNull ? `nullable(${reader})` : reader,
    };
  });
}

function typeOf(name) {
  const { description } = all[name];
  const known = words(all[name]);
  if (known !== null) {
    const list = known.map((word) => `'${word}'`);
    if (all[name]['x-unknown'] === 'keep') {
      return `${comment(description)}export type ${name} = ${list.join(' | ')} | (string & {});\n`;
    }
    const constant = wordsName(name);
    return `export const ${constant} = [${list.join(', ')}] as const;\n${comment(description)}export type ${name} = (typeof ${constant})[number];\n`;
  }
  const body = fields(name).map(
    ({ field, description: text, type }) => `${comment(text, '  ')}  readonly ${field}: ${type};\n`,
  );
  const base = extended[name] ? ` extends ${extended[name]}` : '';
  return `${comment(description)}export interface ${name}${base} {\n${body.join('')}}\n`;
}

function readerOf(name) {
  const body = fields(name).map(({ field, reader }) => `  ${field}: ${reader},\n`);
  const type = extended[name] ? `Omit<wire.${name}, keyof wire.${extended[name]}>` : `wire.${name}`;
  return `export const ${readerName(name)} = /* @__PURE__ */ object<${type}>({\n${body.join('')}});\n`;
}

const header = (text) => `// biome-ignore-all format: generated
// biome-ignore-all lint: generated
// biome-ignore-all assist: generated

/** ${text} Made by \`npm run generate\` from \`bridge/schema/messages.schema.json\`; not to be edited. */
`;

const order = new Set();
for (const { name } of messages) needed(name, order);
for (const name of answers) needed(name, order);
const names = [...order];
const wordNames = names.filter((name) => words(all[name]) !== null && all[name]['x-unknown'] !== 'keep');

const table = messages.map(({ type, name }) => `  readonly '${type}': ${name};\n`).join('');
const types = `${header('What the bridge sends. What it leaves out or what does not apply is `null`.')}
${names.map(typeOf).join('\n')}
/** The messages by their \`type\`, with their other fields. */
export interface Messages {
${table}}
`;

const readerCode = names
  .filter((name) => words(all[name]) === null)
  .map(readerOf)
  .join('\n');
const used = (list, code) => list.filter((name) => new RegExp(`\\b${name}\\b`).test(code));
const kinds = [
  'flag',
  'list',
  'listOfKnown',
  'nullable',
  'number',
  'object',
  'optional',
  'range',
  'record',
  'text',
  'unread',
  'word',
];
const readers = `${header('Readers of what the bridge sends: each checks the fields that it knows.')}
import { ${used(kinds, readerCode).join(', ')} } from './read.ts';
import type * as wire from './wire.generated.ts';
import { ${used(wordNames.map(wordsName), readerCode).join(', ')} } from './wire.generated.ts';

${readerCode}`;

const client = new URL('packages/client/src/', web);
const files = { 'wire.generated.ts': types, 'readers.generated.ts': readers };
for (const [name, made] of Object.entries(files)) {
  const path = new URL(name, client);
  if (!process.argv.includes('--check')) writeFileSync(path, made);
  else if (readFileSync(path, 'utf8') !== made) {
    process.exitCode = 1;
    process.stderr.write(`${name} is not what the schema says: npm run --prefix bridge/web generate\n`);
  }
}
