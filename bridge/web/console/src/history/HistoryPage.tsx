import { isFinished, type JobState, jobStates, lanes } from '@courant/client';
import { useCourant } from '@courant/react';
import { formatCount, jobStateNames } from '@courant/react/format';
import type { RowSelectionState } from '@tanstack/react-table';
import { History, Search, SearchX, Trash2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import { deleteWithUndo } from '../jobs/delayed-delete.tsx';
import { historyPage, home } from '../shell/route.ts';
import { Confirm } from '../ui/Confirm.tsx';
import { useTitle } from '../ui/useTitle.ts';
import { type Filters, readFilters, writeFilters } from './filters.ts';
import { JobTable } from './JobTable.tsx';
import { useHistory } from './useHistory.ts';

/** All jobs there are, to be searched, filtered, sorted and cleared away. */
export default function HistoryPage({ query }: { readonly query: string }) {
  useTitle('History');
  const filters = useMemo(() => readFilters(query), [query]);
  const history = useHistory(filters);
  const [selected, select] = useState<RowSelectionState>({});
  const change = (next: Partial<Filters>) => {
    location.replace(`${historyPage}${writeFilters({ ...filters, ...next })}`);
  };
  const asked = writeFilters(filters) !== '';
  return (
    <div className="page" data-testid="history">
      <h1>History</h1>
      <FilterBar filters={filters} change={change} />
      {history.state === 'failed' && (
        <div className="note bad" role="alert">
          Not all jobs could be loaded: {history.error}{' '}
          <button type="button" className="button small" onClick={history.more}>
            Try again
          </button>
        </div>
      )}
      {history.jobs.length > 0 ? (
        <div className="panel table-panel">
          <JobTable jobs={history.jobs} selected={selected} select={select} />
        </div>
      ) : (
        <Empty loading={history.state === 'loading'} asked={asked} />
      )}
      {history.hasMore && (
        <button
          type="button"
          className="button wide"
          disabled={history.state === 'more'}
          onClick={history.more}
          data-testid="load-older"
        >
          {history.state === 'more' ? 'Loading…' : 'Load more'}
        </button>
      )}
      {history.jobs.length > 0 && (
        <p className="muted small" data-testid="history-count">
          {formatCount(history.jobs.length, 'job')}
          {history.hasMore && ' shown; there are more'}
        </p>
      )}
      <Chosen jobs={history.jobs.filter(({ jobId }) => selected[jobId])} clear={() => select({})} />
      <p className="hidden" role="status">
        {history.state === 'ready' ? formatCount(history.jobs.length, 'job') : ''}
      </p>
    </div>
  );
}

function Empty({ loading, asked }: { readonly loading: boolean; readonly asked: boolean }) {
  if (loading) return <div className="skeleton-card" aria-busy="true" />;
  const Icon = asked ? SearchX : History;
  return (
    <div className="panel empty-panel">
      <Icon aria-hidden="true" />
      <strong>{asked ? 'No job matches' : 'Nothing here yet'}</strong>
      <p className="muted">
        {asked
          ? 'Search for another part of the name, or remove a filter.'
          : 'Jobs you submit stay here after they are done.'}
      </p>
      <a className="button small" href={asked ? historyPage : home}>
        {asked ? 'Show all jobs' : 'Submit a document'}
      </a>
    </div>
  );
}

interface BarProps {
  readonly filters: Filters;
  readonly change: (next: Partial<Filters>) => void;
}

function FilterBar({ filters, change }: BarProps) {
  const toggle = (state: JobState) => {
    const on = filters.states.includes(state);
    change({ states: on ? filters.states.filter((other) => other !== state) : [...filters.states, state] });
  };
  return (
    <search className="filters">
      <div className="field field-search">
        <Search aria-hidden="true" />
        <input
          type="search"
          value={filters.words}
          onChange={(event) => change({ words: event.target.value })}
          placeholder="Name, id or label"
          aria-label="Search jobs"
          data-testid="history-search"
        />
      </div>
      <label className="field">
        <span>Lane</span>
        <select
          value={filters.lane ?? ''}
          onChange={({ target }) => change({ lane: lanes.find((lane) => lane === target.value) ?? null })}
        >
          <option value="">any</option>
          {lanes.map((lane) => (
            <option key={lane}>{lane}</option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>Since</span>
        <input type="date" value={filters.since} onChange={({ target }) => change({ since: target.value })} />
      </label>
      <fieldset className="chips" aria-label="State">
        {jobStates
          .filter((state) => state !== 'cancelling')
          .map((state) => (
            <button
              key={state}
              type="button"
              className="chip-button"
              aria-pressed={filters.states.includes(state)}
              onClick={() => toggle(state)}
              data-testid={`filter-${state}`}
            >
              {jobStateNames[state]}
            </button>
          ))}
      </fieldset>
    </search>
  );
}

interface ChosenProps {
  readonly jobs: ReturnType<typeof useHistory>['jobs'];
  readonly clear: () => void;
}

/** What can be done with several at once. */
function Chosen({ jobs, clear }: ChosenProps) {
  const client = useCourant();
  const [asking, setAsking] = useState(false);
  const removable = jobs.filter(isFinished);
  if (jobs.length === 0) return null;
  return (
    <div className="selection" role="status">
      <strong>{formatCount(jobs.length, 'job')} selected</strong>
      <button
        type="button"
        className="button small"
        disabled={removable.length === 0}
        onClick={() => setAsking(true)}
        data-testid="delete-chosen"
      >
        <Trash2 aria-hidden="true" />
        Delete {removable.length === jobs.length ? '' : `${removable.length} finished`}
      </button>
      <button type="button" className="button small" onClick={clear}>
        Clear selection
      </button>
      <Confirm
        open={asking}
        title={`Delete ${formatCount(removable.length, 'job')}?`}
        verb="Delete"
        keep="Keep"
        onAnswer={(yes) => {
          setAsking(false);
          if (!yes) return;
          deleteWithUndo(client, removable);
          clear();
          // The bar goes away with what was chosen.
          requestAnimationFrame(() => document.getElementById('main')?.focus({ preventScroll: true }));
        }}
      >
        {removable.length === 1
          ? 'Its document and result go with it.'
          : 'Their documents and results go with them.'}{' '}
        You have a few seconds to change your mind after that.
      </Confirm>
    </div>
  );
}
