/** Commands from the page: a line says what is under way, what was done, or what was refused. */
import { CommandError } from '../client/client.js';
import { h, setText } from './dom.js';

export class ActionLine {
  readonly element = h('p', { class: 'action', role: 'status' });

  say(text: string, kind: 'busy' | 'done' | 'failed' = 'done'): void {
    setText(this.element, text);
    this.element.dataset.kind = kind;
  }

  /** Runs it; false where it was refused. Buttons of `scope` rest meanwhile. */
  async run(scope: HTMLElement, doing: string, action: () => Promise<string>): Promise<boolean> {
    this.say(doing, 'busy');
    const controls = [...scope.querySelectorAll<HTMLButtonElement>('button:enabled')];
    for (const control of controls) control.disabled = true;
    try {
      this.say(await action());
      return true;
    } catch (error) {
      this.say(reason(error), 'failed');
      return false;
    } finally {
      for (const control of controls) control.disabled = false;
    }
  }
}

export function reason(error: unknown): string {
  if (error instanceof CommandError) return `${error.message} (${error.hint})`;
  return error instanceof Error ? error.message : String(error);
}
