/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
export type CreateLabelInput = {
  device?: DeviceInput | null | undefined;
  id?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
  name: string;
};

export type CreateStoryWithProgressInput = {
  author?: string | null | undefined;
  chapterCount?: number | null | undefined;
  currentChapter?: number | null | undefined;
  description?: string | null | undefined;
  device?: DeviceInput | null | undefined;
  fandomIds?: Array<string> | null | undefined;
  idempotencyKey?: string | null | undefined;
  isNsfw?: boolean | null | undefined;
  notes?: string | null | undefined;
  progressId?: string | null | undefined;
  publicationStatus?: PublicationStatus | null | undefined;
  rating?: number | null | undefined;
  readingStatus?: ReadingStatus | null | undefined;
  source?: StorySource | null | undefined;
  storyId?: string | null | undefined;
  summary?: string | null | undefined;
  tagIds?: Array<string> | null | undefined;
  title: string;
  url: string;
  wordCount?: number | null | undefined;
};

export type DeleteProgressInput = {
  base?: string | null | undefined;
  device?: DeviceInput | null | undefined;
  id: string;
  idempotencyKey?: string | null | undefined;
};

export type DeviceInput = {
  id: string;
  name?: string | null | undefined;
};

export type DeviceVerdict =
  | 'ASLEEP'
  | 'BEHIND_CONNECTED'
  | 'BELOW_FLOOR'
  | 'CLIENT_TOO_OLD'
  | 'CLOCK_OFF'
  | 'NEVER_SEEN'
  | 'OTHER_EPOCH'
  | 'OUTBOX_STUCK'
  | 'PUSH_ENDPOINT_GONE'
  | 'STREAM_BUFFERED'
  | 'TOKEN_ENDED'
  | 'UP_TO_DATE';

export type EraseAccountInput = {
  confirmationToken: string;
};

export type ExportLibraryInput = {
  expiresIn?: number | null | undefined;
};

export type ForgetDeviceInput = {
  device: string;
};

export type HistoryAction =
  | 'CHANGED'
  | 'CREATED'
  | 'REMOVED';

export type ImportEntry = {
  author?: string | null | undefined;
  chapterCount?: number | null | undefined;
  currentChapter?: number | null | undefined;
  description?: string | null | undefined;
  fandoms?: Array<string> | null | undefined;
  isNsfw?: boolean | null | undefined;
  notes?: string | null | undefined;
  publicationStatus?: PublicationStatus | null | undefined;
  rating?: number | null | undefined;
  readingStatus?: ReadingStatus | null | undefined;
  source?: StorySource | null | undefined;
  summary?: string | null | undefined;
  tags?: Array<string> | null | undefined;
  title: string;
  url: string;
  wordCount?: number | null | undefined;
};

export type ImportLibraryInput = {
  device?: DeviceInput | null | undefined;
  entries: Array<ImportEntry>;
  idempotencyKey?: string | null | undefined;
};

export type LibraryKind =
  | 'FANDOM'
  | 'PROGRESS'
  | 'STORY'
  | 'TAG';

export type OnConflict =
  | 'MERGE'
  | 'OVERWRITE'
  | 'REJECT';

export type PublicationStatus =
  | 'ABANDONED'
  | 'COMPLETED'
  | 'HIATUS'
  | 'ONGOING'
  | 'UNKNOWN';

export type ReadingStatus =
  | 'COMPLETED'
  | 'DROPPED'
  | 'DROPPED_AS_ABANDONED'
  | 'NOT_STARTED'
  | 'PAUSED'
  | 'PLAN_TO_READ'
  | 'READING';

export type RefusalCode =
  | 'ALREADY_EXISTS'
  | 'CONFLICT'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'LIMIT_REACHED'
  | 'NOT_FOUND';

export type RenameDeviceInput = {
  device: string;
  name?: string | null | undefined;
};

export type RequestAccountErasureInput = {
  expiresIn?: number | null | undefined;
};

export type SignOutEverywhereInput = {
  keepPushEndpoints?: boolean | null | undefined;
};

export type StorySource =
  | 'ARCHIVE_OF_OUR_OWN'
  | 'FANFICTION_NET'
  | 'NOVEL_BIN'
  | 'OTHER'
  | 'QUESTIONABLE_QUESTING'
  | 'ROYAL_ROAD'
  | 'SCRIBBLE_HUB'
  | 'SPACE_BATTLES'
  | 'SUFFICIENT_VELOCITY'
  | 'WATTPAD'
  | 'WEB_NOVEL';

export type UpdateProgressInput = {
  base?: string | null | undefined;
  currentChapter?: number | null | undefined;
  device?: DeviceInput | null | undefined;
  id: string;
  idempotencyKey?: string | null | undefined;
  notes?: string | null | undefined;
  onConflict?: OnConflict | null | undefined;
  rating?: number | null | undefined;
  readingStatus?: ReadingStatus | null | undefined;
  rewind?: boolean | null | undefined;
};

export type UpdateStoryWithRelationsInput = {
  author?: string | null | undefined;
  base?: string | null | undefined;
  chapterCount?: number | null | undefined;
  description?: string | null | undefined;
  device?: DeviceInput | null | undefined;
  fandomIds?: Array<string> | null | undefined;
  id: string;
  idempotencyKey?: string | null | undefined;
  isNsfw?: boolean | null | undefined;
  onConflict?: OnConflict | null | undefined;
  publicationStatus?: PublicationStatus | null | undefined;
  source?: StorySource | null | undefined;
  summary?: string | null | undefined;
  tagIds?: Array<string> | null | undefined;
  title?: string | null | undefined;
  url?: string | null | undefined;
  wordCount?: number | null | undefined;
};

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { viewer: { id: string } };

export type DevicesQueryVariables = Exact<{ [key: string]: never; }>;


export type DevicesQuery = { viewer: { devices: Array<{ id: string, name: string | null, platform: string | null, lastSeenAt: string | null, behind: number | null, verdict: DeviceVerdict, pending: { count: number } | null }> } };

export type RenameDeviceMutationVariables = Exact<{
  input: RenameDeviceInput;
}>;


export type RenameDeviceMutation = { renameDevice: { refusal: { message: string } | null } | null };

export type ForgetDeviceMutationVariables = Exact<{
  input: ForgetDeviceInput;
}>;


export type ForgetDeviceMutation = { forgetDevice: { forgottenDeviceId: string | null } | null };

export type SignOutEverywhereMutationVariables = Exact<{
  input: SignOutEverywhereInput;
}>;


export type SignOutEverywhereMutation = { signOutEverywhere: { signedOutAt: string } | null };

export type ExportLibraryMutationVariables = Exact<{
  input: ExportLibraryInput;
}>;


export type ExportLibraryMutation = { exportLibrary: { address: string | null, refusal: { message: string } | null } | null };

export type RequestAccountErasureMutationVariables = Exact<{
  input: RequestAccountErasureInput;
}>;


export type RequestAccountErasureMutation = { requestAccountErasure: { confirmationToken: string | null, refusal: { message: string } | null } | null };

export type EraseAccountMutationVariables = Exact<{
  input: EraseAccountInput;
}>;


export type EraseAccountMutation = { eraseAccount: { refusal: { message: string } | null } | null };

export type ChangesQueryVariables = Exact<{
  since: number;
  epoch?: string | null | undefined;
  after?: string | null | undefined;
}>;


export type ChangesQuery = { libraryChanges: { reset: boolean, erased: boolean, hasMore: boolean, endCursor: string | null, head: string, changes: Array<
      | { __typename: 'Fandom', id: string, name: string }
      | { __typename: 'Progress', id: string, storyId: string, currentChapter: number, readingStatus: ReadingStatus, rating: number | null, notes: string | null, updatedAt: string }
      | { __typename: 'Story', id: string, title: string, author: string, url: string, publicationStatus: PublicationStatus, chapterCount: number | null, tags: Array<{ id: string }>, fandoms: Array<{ id: string }> }
      | { __typename: 'Tag', id: string, name: string }
      | { __typename: 'Tombstone', kind: LibraryKind, rowId: string }
    > } };

export type ConflictPartsFragment = { fields: Array<{ field: string, theirs: unknown, yours: unknown, at: string | null, device: { name: string | null } | null }> };

export type AddStoryMutationVariables = Exact<{
  input: CreateStoryWithProgressInput;
}>;


export type AddStoryMutation = { createStoryWithProgress: { refusal: { code: RefusalCode, message: string, existingId: string | null } | null } | null };

export type UpdateProgressMutationVariables = Exact<{
  input: UpdateProgressInput;
}>;


export type UpdateProgressMutation = { updateProgress: { refusal: { code: RefusalCode, message: string } | null, conflict: { fields: Array<{ field: string, theirs: unknown, yours: unknown, at: string | null, device: { name: string | null } | null }> } | null } | null };

export type UpdateStoryMutationVariables = Exact<{
  input: UpdateStoryWithRelationsInput;
}>;


export type UpdateStoryMutation = { updateStoryWithRelations: { refusal: { code: RefusalCode, message: string } | null, conflict: { fields: Array<{ field: string, theirs: unknown, yours: unknown, at: string | null, device: { name: string | null } | null }> } | null } | null };

export type CreateTagMutationVariables = Exact<{
  input: CreateLabelInput;
}>;


export type CreateTagMutation = { createTag: { refusal: { code: RefusalCode, message: string, existingId: string | null } | null } | null };

export type CreateFandomMutationVariables = Exact<{
  input: CreateLabelInput;
}>;


export type CreateFandomMutation = { createFandom: { refusal: { code: RefusalCode, message: string, existingId: string | null } | null } | null };

export type DeleteEntryMutationVariables = Exact<{
  input: DeleteProgressInput;
}>;


export type DeleteEntryMutation = { deleteProgress: { conflict: { fields: Array<{ field: string, theirs: unknown, yours: unknown, at: string | null, device: { name: string | null } | null }> } | null, refusal: { code: RefusalCode, message: string } | null } | null };

export type ImportEntriesMutationVariables = Exact<{
  input: ImportLibraryInput;
}>;


export type ImportEntriesMutation = { importLibrary: { importedCount: number, duplicateCount: number, invalidCount: number, refusal: { code: RefusalCode, message: string } | null } | null };

export type HistoryQueryVariables = Exact<{ [key: string]: never; }>;


export type HistoryQuery = { history: { nodes: Array<{ version: number, at: string, device: { id: string, name: string | null } | null, changes: Array<{ kind: LibraryKind, id: string, action: HistoryAction, fields: Array<{ field: string, before: unknown, after: unknown }> }> | null }> } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const ConflictPartsFragmentDoc = new TypedDocumentString(`
    fragment ConflictParts on Conflict {
  fields {
    field
    theirs
    yours
    at
    device {
      name
    }
  }
}
    `, {"fragmentName":"ConflictParts"}) as unknown as TypedDocumentString<ConflictPartsFragment, unknown>;
export const ViewerDocument = new TypedDocumentString(`
    query Viewer {
  viewer {
    id
  }
}
    `) as unknown as TypedDocumentString<ViewerQuery, ViewerQueryVariables>;
export const DevicesDocument = new TypedDocumentString(`
    query Devices {
  viewer {
    devices {
      id
      name
      platform
      lastSeenAt
      behind
      pending {
        count
      }
      verdict
    }
  }
}
    `) as unknown as TypedDocumentString<DevicesQuery, DevicesQueryVariables>;
export const RenameDeviceDocument = new TypedDocumentString(`
    mutation RenameDevice($input: RenameDeviceInput!) {
  renameDevice(input: $input) {
    refusal {
      message
    }
  }
}
    `) as unknown as TypedDocumentString<RenameDeviceMutation, RenameDeviceMutationVariables>;
export const ForgetDeviceDocument = new TypedDocumentString(`
    mutation ForgetDevice($input: ForgetDeviceInput!) {
  forgetDevice(input: $input) {
    forgottenDeviceId
  }
}
    `) as unknown as TypedDocumentString<ForgetDeviceMutation, ForgetDeviceMutationVariables>;
export const SignOutEverywhereDocument = new TypedDocumentString(`
    mutation SignOutEverywhere($input: SignOutEverywhereInput!) {
  signOutEverywhere(input: $input) {
    signedOutAt
  }
}
    `) as unknown as TypedDocumentString<SignOutEverywhereMutation, SignOutEverywhereMutationVariables>;
export const ExportLibraryDocument = new TypedDocumentString(`
    mutation ExportLibrary($input: ExportLibraryInput!) {
  exportLibrary(input: $input) {
    address
    refusal {
      message
    }
  }
}
    `) as unknown as TypedDocumentString<ExportLibraryMutation, ExportLibraryMutationVariables>;
export const RequestAccountErasureDocument = new TypedDocumentString(`
    mutation RequestAccountErasure($input: RequestAccountErasureInput!) {
  requestAccountErasure(input: $input) {
    confirmationToken
    refusal {
      message
    }
  }
}
    `) as unknown as TypedDocumentString<RequestAccountErasureMutation, RequestAccountErasureMutationVariables>;
export const EraseAccountDocument = new TypedDocumentString(`
    mutation EraseAccount($input: EraseAccountInput!) {
  eraseAccount(input: $input) {
    refusal {
      message
    }
  }
}
    `) as unknown as TypedDocumentString<EraseAccountMutation, EraseAccountMutationVariables>;
export const ChangesDocument = new TypedDocumentString(`
    query Changes($since: Int!, $epoch: ID, $after: String) {
  libraryChanges(since: $since, epoch: $epoch, after: $after) {
    reset
    erased
    hasMore
    endCursor
    head
    changes {
      __typename
      ... on Tag {
        id
        name
      }
      ... on Fandom {
        id
        name
      }
      ... on Story {
        id
        title
        author
        url
        publicationStatus
        chapterCount
        tags {
          id
        }
        fandoms {
          id
        }
      }
      ... on Progress {
        id
        storyId
        currentChapter
        readingStatus
        rating
        notes
        updatedAt
      }
      ... on Tombstone {
        kind
        rowId
      }
    }
  }
}
    `) as unknown as TypedDocumentString<ChangesQuery, ChangesQueryVariables>;
export const AddStoryDocument = new TypedDocumentString(`
    mutation AddStory($input: CreateStoryWithProgressInput!) {
  createStoryWithProgress(input: $input) {
    refusal {
      code
      message
      existingId
    }
  }
}
    `) as unknown as TypedDocumentString<AddStoryMutation, AddStoryMutationVariables>;
export const UpdateProgressDocument = new TypedDocumentString(`
    mutation UpdateProgress($input: UpdateProgressInput!) {
  updateProgress(input: $input) {
    refusal {
      code
      message
    }
    conflict {
      ...ConflictParts
    }
  }
}
    fragment ConflictParts on Conflict {
  fields {
    field
    theirs
    yours
    at
    device {
      name
    }
  }
}`) as unknown as TypedDocumentString<UpdateProgressMutation, UpdateProgressMutationVariables>;
export const UpdateStoryDocument = new TypedDocumentString(`
    mutation UpdateStory($input: UpdateStoryWithRelationsInput!) {
  updateStoryWithRelations(input: $input) {
    refusal {
      code
      message
    }
    conflict {
      ...ConflictParts
    }
  }
}
    fragment ConflictParts on Conflict {
  fields {
    field
    theirs
    yours
    at
    device {
      name
    }
  }
}`) as unknown as TypedDocumentString<UpdateStoryMutation, UpdateStoryMutationVariables>;
export const CreateTagDocument = new TypedDocumentString(`
    mutation CreateTag($input: CreateLabelInput!) {
  createTag(input: $input) {
    refusal {
      code
      message
      existingId
    }
  }
}
    `) as unknown as TypedDocumentString<CreateTagMutation, CreateTagMutationVariables>;
export const CreateFandomDocument = new TypedDocumentString(`
    mutation CreateFandom($input: CreateLabelInput!) {
  createFandom(input: $input) {
    refusal {
      code
      message
      existingId
    }
  }
}
    `) as unknown as TypedDocumentString<CreateFandomMutation, CreateFandomMutationVariables>;
export const DeleteEntryDocument = new TypedDocumentString(`
    mutation DeleteEntry($input: DeleteProgressInput!) {
  deleteProgress(input: $input) {
    conflict {
      ...ConflictParts
    }
    refusal {
      code
      message
    }
  }
}
    fragment ConflictParts on Conflict {
  fields {
    field
    theirs
    yours
    at
    device {
      name
    }
  }
}`) as unknown as TypedDocumentString<DeleteEntryMutation, DeleteEntryMutationVariables>;
export const ImportEntriesDocument = new TypedDocumentString(`
    mutation ImportEntries($input: ImportLibraryInput!) {
  importLibrary(input: $input) {
    importedCount
    duplicateCount
    invalidCount
    refusal {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<ImportEntriesMutation, ImportEntriesMutationVariables>;
export const HistoryDocument = new TypedDocumentString(`
    query History {
  history(first: 10) {
    nodes {
      version
      at
      device {
        id
        name
      }
      changes(first: 4) {
        kind
        id
        action
        fields {
          field
          before
          after
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<HistoryQuery, HistoryQueryVariables>;