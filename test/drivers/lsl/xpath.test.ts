import { describe, expect, test } from 'vitest';
import { describeChannels } from '../../../drivers/lsl/channels.js';
import { isLslError } from '../../../drivers/lsl/errors.js';
import { buildQuery } from '../../../drivers/lsl/resolver.js';
import { streamInfoXml } from '../../../drivers/lsl/stream-info.js';
import { element } from '../../../drivers/lsl/xml.js';
import { compileQuery, quote } from '../../../drivers/lsl/xpath.js';
import { plainInfo } from './plain-info.js';

const channels = ['C3', 'C4', 'Trigger'].map((label) => ({
  label,
  type: label === 'Trigger' ? 'TRG' : 'EEG',
  unit: 'uV',
}));
const desc = describeChannels(channels, [element('manufacturer', "Böhm's & Co")]);
const info = { ...plainInfo, name: 'BioAmp', desc };
const context = streamInfoXml(info, true);

/** What XPath 1.0 says of `info`; each was looked at by hand against the recommendation. */
const holds: [string, boolean][] = [
  ['', true],
  ["name='BioAmp'", true],
  ['name="BioAmp"', true],
  ["name='bioamp'", false],
  ["session_id='default' and name='BioAmp'", true],
  ["session_id='other' or type='EEG'", true],
  ["name='x' or name='y' and type='EEG'", false],
  ["(name='x' or name='BioAmp') and type='EEG'", true],
  ["starts-with(name,'Bio')", true],
  ["contains(name, 'Amp') and not(contains(name,'x'))", true],
  ['channel_count=2', true],
  ["channel_count='2'", true],
  ['channel_count>1 and channel_count<3', true],
  ['channel_count>=3', false],
  ['channel_count!=2', false],
  ['channel_count > -1', true],
  ["nominal_srate='250'", true],
  ["nominal_srate='250.0000000000000'", true],
  ['nominal_srate=250', true],
  ["nominal_srate='250.1'", false],
  ['desc/manufacturer="Böhm\'s & Co"', true],
  ["contains(desc/manufacturer,'&')", true],
  ['desc/nothing', false],
  ['not(desc/nothing)', true],
  ['count(desc/channels/channel)=3', true],
  ["count(desc/channels/channel[type='EEG'])=2", true],
  ["desc/channels/channel/label='C4'", true],
  ["desc/channels/channel[2]/label='C4'", true],
  ["desc/channels/channel[last()]/label='Trigger'", true],
  ["desc/channels/channel[position()<3]/label='Trigger'", false],
  ["//label='C3'", true],
  ["desc//label='C3'", true],
  ["desc/*/channel/unit='uV'", true],
  ["./name='BioAmp'", true],
  ['string-length(name)=6', true],
  ["normalize-space(' a  b ')='a b'", true],
  ['true() and not(false())', true],
  ['number(channel_count)=2', true],
  ["string(name)='BioAmp'", true],
  ['boolean(name)', true],
  ['1', true],
  ['0', false],
];

const refused = [
  "name='x",
  'name=',
  "name='x' and",
  '(name',
  'name)',
  "concat('a')",
  'count(1)',
  'name name',
  '$x',
  'desc/',
  `${'('.repeat(40)}1${')'.repeat(40)}`,
  `name='${'x'.repeat(9000)}'`,
];

describe('queries', () => {
  test.each(holds)('%s is %s', (query, expected) => {
    expect(compileQuery(query)(context)).toBe(expected);
  });

  test.each(refused)('%s is refused', (query) => {
    try {
      compileQuery(query)(context);
      expect.fail('it was taken');
    } catch (error) {
      expect(isLslError(error, 'query'), String(error)).toBe(true);
    }
  });

  test('a query that would visit millions of elements is stopped', () => {
    const many = element(
      'desc',
      Array.from({ length: 1000 }, () => element('x', [element('y')])),
    );
    const wide = streamInfoXml({ ...info, desc: many }, true);
    expect(() => compileQuery('count(//*[count(//*)>1])>0')(wide)).not.toThrow(RangeError);
    expect(() => compileQuery('count(desc/*[//y=//x])=1')(element('a', [many]))).not.toThrow(
      RangeError,
    );
    const nested = Array.from({ length: 12 }).reduce<ReturnType<typeof element>>(
      (inner) => element('a', [inner, inner]),
      element('a'),
    );
    expect(() => compileQuery('//a//a//a//a')(nested)).toThrow(/fewer elements/);
  });

  test('values are quoted so that they cannot become a query', () => {
    expect(quote("it's")).toBe('"it\'s"');
    expect(() => quote(`'"`)).toThrow(/one kind of quotes/);
    const query = buildQuery({ name: "x' or '1'='1" }, 'default');
    expect(compileQuery(query)(context)).toBe(false);
  });
});
