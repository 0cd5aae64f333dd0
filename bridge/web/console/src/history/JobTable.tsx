import type { Job } from '@courant/client';
import { formatDuration, sentenceCase } from '@courant/react/format';
import {
  createColumnHelper,
  createSortedRowModel,
  type RowSelectionState,
  rowSelectionFeature,
  rowSortingFeature,
  sortFns,
  tableFeatures,
  useTable,
} from '@tanstack/react-table';
import { ArrowDown, ArrowUp } from 'lucide-react';
import { Actions } from '../jobs/Actions.tsx';
import { StateChip } from '../jobs/StateChip.tsx';
import { jobHref } from '../shell/route.ts';
import { formatAgo, formatBytes, formatDateTime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';

const features = tableFeatures({
  rowSortingFeature,
  rowSelectionFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns,
});
const helper = createColumnHelper<typeof features, Job>();

function Name({ job }: { readonly job: Job }) {
  return (
    <>
      <a
        href={jobHref(job.jobId)}
        className="row-name"
        dir="auto"
        title={job.filename}
        data-testid="open-job"
      >
        {job.filename}
      </a>
      {job.state === 'failed' && job.error !== null && (
        <span className="row-reason bad" title={sentenceCase(job.error.message)}>
          {sentenceCase(job.error.message)}
        </span>
      )}
    </>
  );
}

function Age({ time }: { readonly time: string }) {
  return (
    <time dateTime={time} title={formatDateTime(time)}>
      {formatAgo(time, useNow())}
    </time>
  );
}

const columns = helper.columns([
  helper.accessor('filename', { header: 'Document', cell: ({ row }) => <Name job={row.original} /> }),
  helper.accessor('state', { header: 'State', cell: ({ row }) => <StateChip job={row.original} /> }),
  helper.accessor((job) => job.pagesTotal ?? 0, {
    id: 'pages',
    header: 'Pages',
    cell: ({ getValue }) => (getValue() === 0 ? '–' : getValue().toLocaleString('en')),
  }),
  helper.accessor('documentBytes', { header: 'Size', cell: ({ getValue }) => formatBytes(getValue()) }),
  helper.accessor('lane', { header: 'Lane', cell: ({ getValue }) => getValue() }),
  helper.accessor((job) => job.elapsed ?? 0, {
    id: 'elapsed',
    header: 'Took',
    cell: ({ row }) => (row.original.elapsed === null ? '–' : formatDuration(row.original.elapsed)),
  }),
  helper.accessor('createTime', { header: 'Submitted', cell: ({ getValue }) => <Age time={getValue()} /> }),
]);

const sortWords = { asc: 'ascending', desc: 'descending' } as const;

interface Props {
  readonly jobs: readonly Job[];
  readonly selected: RowSelectionState;
  readonly select: (selected: RowSelectionState) => void;
}

/** The jobs as a table; on a phone each row becomes a card. */
export function JobTable({ jobs, selected, select }: Props) {
  const table = useTable({
    features,
    columns,
    data: jobs as Job[],
    getRowId: (job) => job.jobId,
    initialState: { sorting: [{ id: 'createTime', desc: true }] },
    state: { rowSelection: selected },
    onRowSelectionChange: (next) => select(typeof next === 'function' ? next(selected) : next),
  });
  return (
    <table className="table jobs-table">
      <thead>
        {table.getHeaderGroups().map((group) => (
          <tr key={group.id}>
            <th className="cell-check">
              <input
                type="checkbox"
                aria-label="Choose all"
                checked={jobs.length > 0 && table.getIsAllRowsSelected()}
                onChange={table.getToggleAllRowsSelectedHandler()}
              />
            </th>
            {group.headers.map((header) => {
              const sorted = header.column.getIsSorted();
              return (
                <th
                  key={header.id}
                  data-column={header.column.id}
                  aria-sort={sorted ? sortWords[sorted] : undefined}
                >
                  <button type="button" className="sort" onClick={header.column.getToggleSortingHandler()}>
                    <table.FlexRender header={header} />
                    {sorted === 'asc' && <ArrowUp aria-hidden="true" />}
                    {sorted === 'desc' && <ArrowDown aria-hidden="true" />}
                  </button>
                </th>
              );
            })}
            <th>
              <span className="hidden">Actions</span>
            </th>
          </tr>
        ))}
      </thead>
      <tbody>
        {table.getRowModel().rows.map((row) => (
          <tr key={row.id} data-testid="job-row" data-job-id={row.id} data-state={row.original.state}>
            <td className="cell-check">
              <input
                type="checkbox"
                aria-label={`Choose ${row.original.filename}`}
                checked={row.getIsSelected()}
                onChange={row.getToggleSelectedHandler()}
              />
            </td>
            {row.getAllCells().map((cell) => (
              <td key={cell.id} data-column={cell.column.id}>
                <table.FlexRender cell={cell} />
              </td>
            ))}
            <td className="cell-actions">
              <Actions job={row.original} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
