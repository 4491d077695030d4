// Every GraphQL document of the app. `npm run generate` writes their types to src/generated.

import { graphql } from "./generated/index.ts";

export const Viewer = graphql(`
  query Viewer {
    viewer {
      id
    }
  }
`);

export const Devices = graphql(`
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
`);

export const RenameDevice = graphql(`
  mutation RenameDevice($input: RenameDeviceInput!) {
    renameDevice(input: $input) {
      refusal {
        message
      }
    }
  }
`);

export const ForgetDevice = graphql(`
  mutation ForgetDevice($input: ForgetDeviceInput!) {
    forgetDevice(input: $input) {
      forgottenDeviceId
    }
  }
`);

export const SignOutEverywhere = graphql(`
  mutation SignOutEverywhere($input: SignOutEverywhereInput!) {
    signOutEverywhere(input: $input) {
      signedOutAt
    }
  }
`);

export const ExportLibrary = graphql(`
  mutation ExportLibrary($input: ExportLibraryInput!) {
    exportLibrary(input: $input) {
      address
      refusal {
        message
      }
    }
  }
`);

export const RequestAccountErasure = graphql(`
  mutation RequestAccountErasure($input: RequestAccountErasureInput!) {
    requestAccountErasure(input: $input) {
      confirmationToken
      refusal {
        message
      }
    }
  }
`);

export const EraseAccount = graphql(`
  mutation EraseAccount($input: EraseAccountInput!) {
    eraseAccount(input: $input) {
      refusal {
        message
      }
    }
  }
`);

export const Changes = graphql(`
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
`);

export const ConflictParts = graphql(`
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
`);

export const AddStory = graphql(`
  mutation AddStory($input: CreateStoryWithProgressInput!) {
    createStoryWithProgress(input: $input) {
      refusal {
        code
        message
        existingId
      }
    }
  }
`);

export const UpdateProgress = graphql(`
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
`);

export const UpdateStory = graphql(`
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
`);

export const CreateTag = graphql(`
  mutation CreateTag($input: CreateLabelInput!) {
    createTag(input: $input) {
      refusal {
        code
        message
        existingId
      }
    }
  }
`);

export const CreateFandom = graphql(`
  mutation CreateFandom($input: CreateLabelInput!) {
    createFandom(input: $input) {
      refusal {
        code
        message
        existingId
      }
    }
  }
`);

export const DeleteEntry = graphql(`
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
`);

export const ImportEntries = graphql(`
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
`);

export const History = graphql(`
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
`);

/** Returns the name of a document's operation. Changes that an earlier release of the app has stored have it too. */
export function operationOf(document: string): string {
  return /(?:mutation|query|subscription) (\w+)/.exec(document)?.[1] ?? "";
}
