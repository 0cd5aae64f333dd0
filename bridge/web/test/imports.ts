/** Who imports whom, read from the sources without compiling them. */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** Modules, and for each the modules that it imports, types included. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** `import … from 'x'`, `export … from 'x'` and `import 'x'`; not `import('x')`, which is loaded when it is called. */
const statement = /^\s*(?:import|export)\b(?:[^'"();]*?\bfrom)?\s*['"]([^'"]+)['"]/gm;

export function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  return [...code.matchAll(statement)].map(([, name]) => name ?? '');
}

/** The graph of files by their names; relative imports are resolved, those of packages are left as they are. */
export function graphOf(files: ReadonlyMap<string, string>): Graph {
  const resolve = (file: string, name: string) =>
    name.startsWith('.') ? posix.join(posix.dirname(file), name) : name;
  return new Map(
    [...files].map(([file, source]) => [file, importsOf(source).map((name) => resolve(file, name))]),
  );
}

/** The TypeScript sources below a folder, by their paths within it. */
export function sourcesIn(folder: URL): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) =>
    name.replaceAll('\\', '/'),
  );
  const wanted = names.filter((name) => /\.tsx?$/.test(name));
  return new Map(wanted.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
}

/** One cycle, as the modules on its way; `null` when there is none. */
export function cycleIn(graph: Graph): readonly string[] | null {
  const finished = new Set<string>();
  const visit = (module: string, path: readonly string[]): readonly string[] | null => {
    if (path.includes(module)) return [...path.slice(path.indexOf(module)), module];
    if (finished.has(module)) return null;
    for (const next of graph.get(module) ?? []) {
      const found = visit(next, [...path, module]);
      if (found) return found;
    }
    finished.add(module);
    return null;
  };
  for (const module of graph.keys()) {
    const found = visit(module, []);
    if (found) return found;
  }
  return null;
}

/** Imports of a higher layer, and modules that are in no layer. Layers are listed from the lowest. */
export function wrongDirections(graph: Graph, layers: readonly (readonly string[])[]): string[] {
  const levels = new Map(
    layers.flatMap((modules, level) => modules.map((module) => [module, level] as const)),
  );
  return [...graph].flatMap(([module, imported]) => {
    const own = levels.get(module);
    if (own === undefined) return [`${module} is in no layer`];
    const higher = imported.filter((name) => (levels.get(name) ?? 0) > own);
    return higher.map((name) => `${module} imports ${name}`);
  });
}
