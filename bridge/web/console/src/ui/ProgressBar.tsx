interface Props {
  readonly label: string;
  /** 0 to 100. */
  readonly percent: number;
  /** What screen readers say instead of the percent. */
  readonly text?: string;
  readonly testId?: string;
}

/** A bar that moves without a new layout. Not `<progress>`: browsers do not animate what it is drawn with. */
export function ProgressBar({ label, percent, text, testId }: Props) {
  return (
    <div
      className="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.floor(percent)}
      aria-valuetext={text}
      data-testid={testId}
    >
      <span className="bar-fill" style={{ transform: `scaleX(${percent / 100})` }} />
    </div>
  );
}

/** The same with the percent beside it. */
export function ProgressRow(props: Props) {
  return (
    <div className="bar-row">
      <ProgressBar {...props} />
      <span className="percent" aria-hidden="true">
        {Math.floor(props.percent)}
        <small> %</small>
      </span>
    </div>
  );
}
