// A worker in Python that stores the files it is given as outputs of every job of kind `words`.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = new URL('../..', import.meta.url).pathname;
const python = process.env.COURANT_PYTHON ?? join(root, 'tests/.venv/bin/python');

/** `files`: content by name. */
export class OutputsWorker {
  constructor(up, files) {
    this.folder = mkdtempSync(join(tmpdir(), 'courant-outputs-'));
    const [stubs, outputs] = [join(this.folder, 'stubs'), join(this.folder, 'outputs')];
    for (const folder of [stubs, outputs]) mkdirSync(folder);
    const protos = readdirSync(join(root, 'proto/courant/v1')).filter((name) => name.endsWith('.proto'));
    const made = ['-m', 'grpc_tools.protoc', `-I${root}proto`, `--python_out=${stubs}`, `--grpc_python_out=${stubs}`];
    execFileSync(python, [...made, ...protos.map((name) => `courant/v1/${name}`)], { cwd: join(root, 'proto') });
    for (const [name, content] of Object.entries(files)) writeFileSync(join(outputs, name), content);
    const script = join(root, 'tests/browser/outputs_worker.py');
    const token = up.courant('token', '--sub', 'outputs', '--role', 'worker');
    const env = { ...process.env, PYTHONPATH: stubs };
    this.process = spawn(python, [script, `127.0.0.1:${up.grpc}`, token, outputs], { stdio: ['ignore', 'ignore', 'inherit'], env });
    this.ended = once(this.process, 'exit');
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
