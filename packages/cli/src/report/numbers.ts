export { counted, grouped, humanBytes } from '@weightspec/formats';
